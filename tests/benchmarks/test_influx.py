"""The benchmark of reading from InfluxDB, with few series: what it says isn't judged here, but that it says it."""

import pytest

from benchmarks.influx.__main__ import main
from tests.servers.influxdb import needs_influxdb


@needs_influxdb
def test_a_poll_is_measured_with_its_parts_and_beside_a_query_for_each_rule(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["polling", "--series", "200", "--polls", "2", "--sample", "20"]) == 0
    printed = capfd.readouterr().out
    assert "a poll of 200 series" in printed
    assert "by a query for each rule (20 asked" in printed


def test_the_readers_are_compared_on_the_same_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["parsing", "--series", "200"]) == 0
    assert "by the client's own parser" in capfd.readouterr().out


def test_an_unknown_part_is_refused_with_those_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no part 'speed'; there are polling, parsing" in capfd.readouterr().err
