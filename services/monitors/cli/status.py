"""`monitors status`: whether the mesh is well."""

from dataclasses import dataclass
from typing import Any

import typer
from google.protobuf.message import Message

from monitors.cli.client import Mesh, connected
from monitors.cli.documents import Document, duration_text, time_text
from monitors.cli.durations import format_age, format_rough, parse_duration
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.options import AsJson
from monitors.cli.output import print_facts, print_json, print_table, tell
from monitors.mesh.times import from_timestamp, now_nanos
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.notifier_service_pb2 import GetNotifierStatusRequest

SERVICES = {
    "rules": "monitors.v1.RuleService",
    "evaluator": "monitors.v1.EvaluatorService",
    "notifier": "monitors.v1.NotifierService",
}
SERVING = "serving"
# Health isn't part of the contract's service config, so it has no deadline there.
HEALTH_SECONDS = 5.0


@dataclass(frozen=True)
class Status:
    """How the mesh fares. `evaluator` and `notifier` are None where they couldn't be asked."""

    server: str
    services: dict[str, str]
    evaluator: Document | None
    notifier: Document | None
    problems: list[str]

    @property
    def document(self) -> Document:
        """What `--json` prints."""
        return {
            "server": self.server,
            "healthy": not self.problems,
            "services": self.services,
            "evaluator": self.evaluator,
            "notifier": self.notifier,
            "problems": self.problems,
        }


def status(as_json: AsJson = False) -> None:
    """Show how the three services fare; exit code 1 if something is wrong."""
    with connected() as mesh:
        found = read_status(mesh)
    if as_json:
        print_json(found.document)
    else:
        show_status(found)
    if found.problems:
        raise typer.Exit(ExitCode.FAILED)


def read_status(mesh: Mesh) -> Status:
    """Asks each service. Raises Failure if none can be reached or the key is refused."""
    services = {name: health_of(mesh, full_name) for name, full_name in SERVICES.items()}
    problems = [f"the {name} service is {state}" for name, state in services.items() if state != SERVING]
    evaluator = notifier = None
    if services["evaluator"] == SERVING:
        try:
            answer = mesh.call(mesh.evaluator.GetEvaluatorStatus, GetEvaluatorStatusRequest())
            evaluator = status_document(answer)
        except Failure as failure:
            problems.append(_told(failure, "evaluator"))
    if services["notifier"] == SERVING:
        try:
            notifier = status_document(mesh.call(mesh.notifier.GetNotifierStatus, GetNotifierStatusRequest()))
        except Failure as failure:
            problems.append(_told(failure, "notifier"))
    for name, document in (("evaluator", evaluator), ("notifier", notifier)):
        problems += [f"{name}: {problem}" for problem in (document or {}).get("problems", ())]
    return Status(mesh.address, services, evaluator, notifier, problems)


def _told(failure: Failure, service: str) -> str:
    if failure.code in (ExitCode.UNAUTHENTICATED, ExitCode.UNREACHABLE):
        raise failure
    return f"{service}: {failure}"


def health_of(mesh: Mesh, service: str) -> str:
    """`serving`, `not_serving`, or `absent` if the server doesn't host the service."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub: Any = health_pb2_grpc.HealthStub(mesh.channel)
    try:
        answer = mesh.call(stub.Check, health_pb2.HealthCheckRequest(service=service), HEALTH_SECONDS)
    except Failure as failure:
        if failure.code is ExitCode.NOT_FOUND:
            return "absent"
        raise
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name.lower()


def status_document(message: Message) -> Document:
    """Every field of a status answer under its own name; times and durations as everywhere else."""
    document: Document = {}
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type.name if field.message_type else ""
        if kind == "Timestamp":
            document[field.name] = time_text(message, field.name)
        elif kind == "Duration":
            document[field.name] = duration_text(message, field.name)
        else:
            value = getattr(message, field.name)
            document[field.name] = list(value) if field.is_repeated else value
    return document


def show_status(found: Status) -> None:
    """Prints the status for people."""
    print_facts({"Server": found.server, **{name.capitalize(): state for name, state in found.services.items()}})
    rows = []
    for service, document in (("evaluator", found.evaluator), ("notifier", found.notifier)):
        for name, value in (document or {}).items():
            # What is empty doesn't apply: a mesh that stores its points has no source.
            if value not in (None, "") and name != "problems":
                rows.append((service, name.replace("_", " "), _shown(name, value)))
    if rows:
        print_table(("SERVICE", "WHAT", "VALUE"), rows, whole=())
    for problem in found.problems:
        tell(f"problem: {problem}")


def _shown(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value))}" if value else "none"
    if name.endswith("_duration"):
        return format_rough(parse_duration(str(value)))
    if not name.endswith("_time"):
        return str(value)
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    moment.FromJsonString(str(value))
    return f"{moment.ToDatetime():%Y-%m-%dT%H:%M:%SZ}, {format_age(from_timestamp(moment), now_nanos())}"
