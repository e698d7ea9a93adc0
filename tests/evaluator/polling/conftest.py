"""What all tests of polling need."""

from collections.abc import Iterator

import pytest

from monitors.evaluator.polling import poller


@pytest.fixture(autouse=True, scope="session")
def looks_are_not_put_off() -> Iterator[None]:
    """On a busy machine a look takes long, and the next one would come a long time after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(poller, "SHARE_OF_LOOKS", 1.0)
        yield
