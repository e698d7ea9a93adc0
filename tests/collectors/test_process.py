"""The collectors as the child processes that they are."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.collectors.receiver import SECONDS, open_receiver, serving
from tests.collectors.test_check import application, make_certificate
from tests.harness import LoopThread

MODULE = (sys.executable, "-m", "monitors.collectors")


@contextmanager
def started(*arguments: str, key: str = "alk_key", **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A collector with a pipe as standard input, ended at the latest with the test."""
    with subprocess.Popen(
        [*MODULE, *arguments],
        env={**os.environ, "MONITORS_KEY": key, **environment},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_this_machine_is_measured_and_written_at_the_interval(loop_thread: LoopThread) -> None:
    with (
        loop_thread.opened(open_receiver()) as receiver,
        started("host", "--url", receiver.url, "--interval", "0.2", "--monitor", "mon_here") as process,
    ):
        first, second = receiver.next(), receiver.next()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        assert process.stderr
        assert process.stderr.read() == b""
    assert first.headers["Authorization"] == "Token alk_key"
    for request in (first, second):
        assert {point["tags"]["monitor_id"] for point in request.points} == {"mon_here"}
        assert any("cpu_percent" in point["fields"] for point in request.points)
        assert any("load1" in point["fields"] for point in request.points)
    assert second.points[0]["time"] > first.points[0]["time"]


def test_a_collector_ends_when_its_parent_is_gone(loop_thread: LoopThread) -> None:
    with (
        loop_thread.opened(open_receiver()) as receiver,
        started("host", "--url", receiver.url, "--interval", "0.1") as process,
    ):
        receiver.next()
        assert process.stdin
        process.stdin.close()
        assert process.wait(SECONDS) == 0


def test_a_collector_ends_though_the_endpoint_is_away() -> None:
    with started("host", "--url", "http://127.0.0.1:1", "--interval", "0.1") as process:
        assert process.stderr
        assert b"can't write to http://127.0.0.1:1/" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_each_target_is_checked_with_a_certificate_that_is_trusted(loop_thread: LoopThread, tmp_path: Path) -> None:
    context = make_certificate(tmp_path, 30.0)
    with (
        loop_thread.opened(open_receiver()) as receiver,
        loop_thread.opened(serving(application(), ssl_context=context)) as port,
    ):
        up, down = f"https://127.0.0.1:{port}/200", f"https://127.0.0.1:{port}/500"
        targets = ("--target", up, "--target", down)
        trusted = str(tmp_path / "certificate.pem")
        with started("check", "--url", receiver.url, "--interval", "0.1", *targets, SSL_CERT_FILE=trusted):
            fields: dict[str, dict[str, float]] = {}
            while len(fields) < 2:
                fields |= {point["tags"]["url"]: point["fields"] for point in receiver.next().points}
    assert (fields[up]["is_up"], fields[up]["status_code"]) == (1, 200)
    assert (fields[down]["is_up"], fields[down]["status_code"]) == (0, 500)
    assert fields[up]["tls_days_left"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "key", "message"),
    [
        (("host", "--url", "http://127.0.0.1:1"), "", b"MONITORS_KEY"),
        (("host", "--url", "ftp://127.0.0.1:1"), "k", b"isn't a URL"),
        (("check", "--url", "http://127.0.0.1:1", "--target", "example.org"), "k", b"isn't a URL"),
        (("check", "--url", "http://127.0.0.1:1"), "k", b"--target"),
        (("host", "--url", "http://127.0.0.1:1", "--interval", "0"), "k", b"number of seconds"),
    ],
)
def test_a_wrong_start_is_refused_with_the_reason(arguments: tuple[str, ...], key: str, message: bytes) -> None:
    with started(*arguments, key=key) as process:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 2
        assert message in errors
