"""The evaluator: shorter waits, points to die at, and what may be taken out of it."""

import grpc

from monitors.evaluator import housekeeping, recorder, saving
from monitors.evaluator.recorder import Recorder
from monitors.evaluator.saving import WholeSaver
from monitors.evaluator.store import Store, sealed
from tests.crash.failpoints import after, after_awaiting, before, gives_some


def scale_down() -> None:
    """A state that is saved, and points that are sealed, every few seconds."""
    saving.SAVE_INTERVAL = 2.0
    housekeeping.PAUSE_SECONDS = 0.5
    setattr(housekeeping, "RAW_POINTS", 100)  # noqa: B010


POINTS = {
    "evaluator has stored points and not answered": after_awaiting(Store, "append"),
    "evaluator has recorded and not noted that": before(Recorder, "_take_results"),
    "evaluator has saved its state and not noted that": after_awaiting(WholeSaver, "_send"),
    "evaluator has sealed points and not committed": after(sealed, "replace_rows"),
    "evaluator has sealed points": after_awaiting(Store, "seal_closed", gives_some),
}


def forget_transitions() -> None:
    """What RuleService hasn't taken after a moment isn't sent again."""
    setattr(recorder, "CALL_TIMEOUT", 0.3)  # noqa: B010
    record = Recorder._record_some

    async def once(self: Recorder) -> None:
        chunk, _ = self._next_chunk()
        try:
            await record(self)
        except grpc.aio.AioRpcError:
            for _ in chunk:
                self._waiting.popleft()

    Recorder._record_some = once  # type: ignore[method-assign]


BREAKS = {"forget-transitions": forget_transitions}
