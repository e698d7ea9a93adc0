"""Mute timings as they are remembered."""

import json
from dataclasses import asdict
from typing import Any

from monitors.mesh.rows import Row
from monitors.notifier.model.timings import MOST, MuteTiming
from monitors.notifier.model.windows import Window
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import Rows
from monitors.notifier.store.tables import mute_timings


def _write(timing: MuteTiming) -> dict[str, Any]:
    return {
        "matchers": write_matchers(timing.matchers),
        "windows": json.dumps(list(map(asdict, timing.windows))),
        "is_active": timing.active,
    }


def _read(row: Row, common: dict[str, Any]) -> MuteTiming:
    windows = tuple(map(_window, json.loads(row.windows)))
    return MuteTiming(**common, matchers=read_matchers(row.matchers), windows=windows, active=bool(row.is_active))


def _window(kept: dict[str, Any]) -> Window:
    zone = kept.pop("zone")
    return Window(**{part: tuple((first, last) for first, last in spans) for part, spans in kept.items()}, zone=zone)


ROWS = Rows(MuteTiming, mute_timings, MOST, "ListMuteTimings", _write, _read)
