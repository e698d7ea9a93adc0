"""What is read when metrics are asked for."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitors.mesh.config import BadSetting, MetricsSettings, load_settings
from monitors.mesh.metrics.exposition import Metrics, exported
from monitors.mesh.server import PortTaken
from tests.harness import LoopThread

LOCAL = MetricsSettings("127.0.0.1", 0)


class Counter:
    """A reading that says how often it was read, and fails when it's told to."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    async def read(self) -> Sequence[Metric]:
        self.count += 1
        if self.fails:
            raise RuntimeError("mysql://root:secret@db is on fire")
        return [GaugeMetricFamily("monitors_read", "How often it was read.", self.count)]


@contextmanager
def exporting(loop_thread: LoopThread, counter: Counter, kept_seconds: float = 0.0) -> Iterator[Metrics]:
    with loop_thread.opened(exported(LOCAL)) as metrics:
        metrics.follow("probe", counter.read, kept_seconds)
        yield metrics


def page(metrics: Metrics, accept: str = "") -> str:
    with urlopen(Request(metrics.url, headers={"Accept": accept} if accept else {}), timeout=10) as answer:
        return str(answer.read().decode())


def test_what_is_read_is_as_it_stands_when_its_asked_for(loop_thread: LoopThread) -> None:
    with exporting(loop_thread, Counter()) as metrics:
        assert "monitors_read 1.0\n" in page(metrics)
        assert "monitors_read 2.0\n" in page(metrics)


def test_what_is_dear_to_read_is_kept_for_a_while(loop_thread: LoopThread) -> None:
    with exporting(loop_thread, Counter(), kept_seconds=600) as metrics:
        page(metrics)
        assert "monitors_read 1.0\n" in page(metrics)


def test_what_cant_be_read_is_left_out_and_said_to_be_missing(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Counter()
    with exporting(loop_thread, counter) as metrics:
        assert 'monitors_metrics_missing{service="probe"} 0.0\n' in page(metrics)
        counter.fails = True
        with caplog.at_level(logging.WARNING):
            text = page(metrics) + page(metrics)
        assert "monitors_read" not in text
        assert 'monitors_metrics_missing{service="probe"} 1.0\n' in text
        counter.fails = False
        assert "monitors_read 4.0\n" in page(metrics)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the metrics of probe can't be read: RuntimeError"]


def test_a_task_that_never_ends_is_counted_until_it_is_cancelled(loop_thread: LoopThread) -> None:
    async def begin() -> list["asyncio.Task[bool]"]:
        return [asyncio.create_task(asyncio.Event().wait()) for _ in range(7)]

    async def end(tasks: list["asyncio.Task[bool]"]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def count() -> float:
        return float(page(metrics).partition("\nmonitors_asyncio_tasks ")[2].partition("\n")[0])

    with exporting(loop_thread, Counter()) as metrics:
        before = count()
        tasks = loop_thread.run(begin())
        with_them = count()
        loop_thread.run(end(tasks))
        assert (with_them - before, count() - before) == (7, 0)


def test_openmetrics_is_answered_to_whoever_asks_for_it(loop_thread: LoopThread) -> None:
    with exporting(loop_thread, Counter()) as metrics:
        text = page(metrics, "application/openmetrics-text; version=1.0.0")
    families = {family.name: family.documentation for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    assert families["monitors_read"] == "How often it was read."


def test_an_address_that_is_taken_is_refused_with_the_variable_that_mends_it(loop_thread: LoopThread) -> None:
    async def twice(port: int) -> None:
        async with exported(MetricsSettings("127.0.0.1", port)):
            await asyncio.sleep(0)

    with exporting(loop_thread, Counter()) as metrics:
        port = int(metrics.url.split(":")[2].split("/")[0])
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port} .*MONITORS_METRICS_ADDRESS"):
            loop_thread.run(twice(port))


@pytest.mark.parametrize(
    ("text", "settings"),
    [("", None), ("127.0.0.1:9464", MetricsSettings("127.0.0.1", 9464)), ("[::1]:0", MetricsSettings("::1", 0)),
     ("0.0.0.0:1", MetricsSettings("0.0.0.0", 1)), ("metrics.local:80", MetricsSettings("metrics.local", 80))],
)  # fmt: skip
def test_the_address_is_host_and_port(text: str, settings: MetricsSettings | None) -> None:
    assert load_settings({"MONITORS_METRICS_ADDRESS": text}).metrics == settings


@pytest.mark.parametrize("text", ["9464", ":9464", "127.0.0.1", "127.0.0.1:99999", "::1:9464", "http://h:1", "h:1/x"])
def test_any_other_address_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(BadSetting, match="MONITORS_METRICS_ADDRESS must be host:port"):
        load_settings({"MONITORS_METRICS_ADDRESS": text})
