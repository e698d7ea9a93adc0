"""The data: one field of as many monitors as there are series, a point every ten seconds, all within a second of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitors.mesh.times import SECOND

START = 1_764_000_000 * SECOND
PERIOD = 10 * SECOND
MEASUREMENT = "monitor_data"


@dataclass(frozen=True)
class Load:
    """What is written: `series` monitors, tick after tick. Collectors keep their phase, so their order stays."""

    series: int

    def tick(self, number: int) -> tuple[int, int]:
        """The closed range that holds a tick's points and no others."""
        start = START + number * PERIOD
        return start, start + PERIOD - 1

    def lines(self, number: int) -> str:
        """A tick as line protocol."""
        return "\n".join(
            f"{MEASUREMENT},monitor_id={name} value={value} {time}" for name, value, time in self._points(number)
        )

    def annotated_csv(self, number: int) -> bytes:
        """The same as a 2.x answers it: one table, as the documentation shows it."""
        from tests.servers.influxdb2_csv import rfc3339

        rows = [
            "#datatype,string,long,dateTime:RFC3339,double,string,string,string",
            "#group,false,false,false,false,true,true,false",
            "#default,_result,,,,,,",
            ",result,table,_time,_value,_field,_measurement,monitor_id",
            *(f",,0,{rfc3339(time)},{value},value,{MEASUREMENT},{name}" for name, value, time in self._points(number)),
            "",
            "",
        ]
        return "\r\n".join(rows).encode()

    def _points(self, number: int) -> Iterator[tuple[str, float, int]]:
        values = np.round(100 + 20 * np.random.default_rng(number).random(self.series), 2).tolist()
        start, phase = START + number * PERIOD, SECOND // self.series
        for place, value in enumerate(values):
            yield f"mon_{place:06d}", value, start + place * phase
