"""Fixtures: a RuleService, and the evaluator's ways in beside it."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from tests.evaluator.ingest.parts import RuleBook, WaysIn, rule_book, ways_in
from tests.harness import LoopThread


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for a unix socket's path."""
    return tmp_path_factory.mktemp("e")


@pytest.fixture
def book(loop_thread: LoopThread, folder: Path) -> Iterator[RuleBook]:
    """A RuleService that is there."""
    with loop_thread.opened(rule_book(f"unix:{folder / 'rules.sock'}")) as one:
        yield one


@pytest.fixture
def opened(loop_thread: LoopThread, folder: Path, book: RuleBook) -> Iterator[WaysIn]:
    """The ways in, with RuleService beside them."""
    with loop_thread.opened(ways_in(folder)) as one:
        yield one


@pytest.fixture
def stub(opened: WaysIn) -> Iterator[EvaluatorServiceStub]:
    """The service, as a client in any language sees it."""
    with grpc.insecure_channel(f"127.0.0.1:{opened.grpc_port}") as channel:
        yield EvaluatorServiceStub(channel)
