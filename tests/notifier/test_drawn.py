"""The pictures of the docs show what we send."""

import json
import re

from tests.notifier.drawn import DRAWN, IMAGES, SUMS, sums

DOCS = IMAGES.parent


def test_no_picture_of_what_arrives_is_out_of_date() -> None:
    assert json.loads(SUMS.read_text()) == sums(), "draw them anew: python -m tests.notifier.drawn"


def test_each_picture_is_small_and_stands_in_the_docs() -> None:
    shown = set(re.findall(r"!\[[^]]+\]\(images/(\w+)\.png\)", (DOCS / "channels.md").read_text()))
    assert shown >= set(DRAWN)
    assert all((IMAGES / f"{name}.png").stat().st_size < 60_000 for name in DRAWN)
