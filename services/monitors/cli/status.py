"""`monitors status`: whether the mesh is well, once or for as long as somebody looks."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from monitors.cli.client import Mesh, Target, connected_at, find_target
from monitors.cli.documents import Document
from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.options import AsJson, read_duration
from monitors.cli.output import print_json
from monitors.cli.status_views import Frame, show_once, shown_live, status_document
from monitors.mesh.times import SECOND
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.notifier_service_pb2 import GetNotifierStatusRequest

SERVICES = {
    "rules": "monitors.v1.RuleService",
    "evaluator": "monitors.v1.EvaluatorService",
    "notifier": "monitors.v1.NotifierService",
}
SERVING = "serving"
ABSENT = "absent"
ASK_ALL = "services that run on their own are asked together: `monitors status --at HOST:PORT`, with an --at for each"
# Health isn't part of the contract's service config, so it has no deadline there.
HEALTH_SECONDS = 5.0


@dataclass(frozen=True)
class Server:
    """How one server fares. `evaluator` and `notifier` are None where they couldn't be asked."""

    address: str
    services: dict[str, str]
    evaluator: Document | None = None
    notifier: Document | None = None
    problems: tuple[str, ...] = ()

    @property
    def document(self) -> Document:
        """What `--json` prints of it."""
        return {
            "server": self.address, "services": self.services, "evaluator": self.evaluator, "notifier": self.notifier,
            "problems": list(self.problems),
        }  # fmt: skip


At = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST:PORT", help="Where to ask instead of MONITORS_SERVER; once for each server of a mesh."),
]
Watched = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it until Ctrl-C.")]
Every = Annotated[str, typer.Option(metavar="DURATION", help="How often --watch asks.")]


def status(at: At = None, watch: Watched = False, every: Every = "2s", as_json: AsJson = False) -> None:
    """Show how the three services fare; exit code 1 if something is wrong."""
    pause = read_duration(every)
    if pause < SECOND // 10:
        raise typer.BadParameter(f"{every!r} is too often; the shortest is 100ms", param_hint="--every")
    with failures_told(), ExitStack() as opened:
        meshes = [opened.enter_context(connected_at(target)) for target in _targets(at)]
        if watch:
            _watch(meshes, pause / SECOND, as_json=as_json)
            return
        frame = read_frame(meshes)
    if as_json:
        print_json(frame.document)
    else:
        show_once(frame)
    if frame.problems:
        raise typer.Exit(ExitCode.FAILED)


def _targets(addresses: Sequence[str] | None) -> list[Target]:
    """Where to ask. Raises Failure."""
    named = [{"MONITORS_SERVER": address} for address in addresses or ()]
    return [find_target({**os.environ, **server}) for server in named or [{}]]


def _watch(meshes: Sequence[Mesh], pause: float, *, as_json: bool) -> None:
    frames = _frames(meshes, pause)
    try:
        if as_json:
            for frame in frames:
                print_json(frame.document, compact=True)
        else:
            shown_live(frames)
    except KeyboardInterrupt:
        return


def _frames(meshes: Sequence[Mesh], pause: float) -> Iterator[Frame]:
    """How the mesh fares, now and then. The first look fails as a single one does; later ones go on without servers."""
    yield read_frame(meshes)
    while True:
        time.sleep(pause)
        yield read_frame(meshes, absent_is_fatal=False)


def read_frame(meshes: Sequence[Mesh], *, absent_is_fatal: bool = True) -> Frame:
    """Asks each service of each server. Raises Failure if the key is refused, and, where `absent_is_fatal`, if no
    server can be reached."""
    servers: list[Server] = []
    failures: list[Failure] = []
    for mesh in meshes:
        try:
            servers.append(read_server(mesh))
        except Failure as failure:
            if failure.code is not ExitCode.UNREACHABLE:
                raise
            failures.append(failure)
            servers.append(Server(mesh.address, dict.fromkeys(SERVICES, "unreachable"), problems=(str(failure),)))
    if absent_is_fatal and len(failures) == len(meshes):
        raise failures[0]
    return Frame([server.document for server in servers], _problems(servers))


def _problems(servers: Sequence[Server]) -> list[str]:
    """What is wrong in the whole mesh: a server needn't have every service, but one of them must."""
    told = [problem for server in servers for problem in server.problems]
    if any("unreachable" in server.services.values() for server in servers):
        return told
    absent = [name for name in SERVICES if all(server.services[name] == ABSENT for server in servers)]
    missing = [f"the {name} service is {ABSENT}" for name in absent]
    if missing:
        missing[-1] += f"; {ASK_ALL}"
    return missing + told


def read_server(mesh: Mesh) -> Server:
    """Asks each service there. Raises Failure if it can't be reached or the key is refused."""
    services = {name: health_of(mesh, full_name) for name, full_name in SERVICES.items()}
    problems = [f"the {name} service is {state}" for name, state in services.items() if state not in (SERVING, ABSENT)]
    asked: dict[str, Callable[[], Any]] = {
        "evaluator": lambda: mesh.call(mesh.evaluator.GetEvaluatorStatus, GetEvaluatorStatusRequest()),
        "notifier": lambda: mesh.call(mesh.notifier.GetNotifierStatus, GetNotifierStatusRequest()),
    }
    answers: dict[str, Document | None] = dict.fromkeys(asked)
    for name, ask in asked.items():
        if services[name] != SERVING:
            continue
        try:
            answers[name] = answer = status_document(ask())
            problems += [f"{name}: {problem}" for problem in answer["problems"]]
        except Failure as failure:
            if failure.code in (ExitCode.UNAUTHENTICATED, ExitCode.UNREACHABLE):
                raise
            problems.append(f"{name}: {failure}")
    return Server(mesh.address, services, answers["evaluator"], answers["notifier"], tuple(problems))


def health_of(mesh: Mesh, service: str) -> str:
    """`serving`, `not_serving`, or `absent` if the server doesn't host the service."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub: Any = health_pb2_grpc.HealthStub(mesh.channel)
    try:
        answer = mesh.call(stub.Check, health_pb2.HealthCheckRequest(service=service), HEALTH_SECONDS)
    except Failure as failure:
        if failure.code is ExitCode.NOT_FOUND:
            return ABSENT
        raise
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name.lower()
