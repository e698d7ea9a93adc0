"""The mesh as the command sees it: three services at one address, one key, and the contract's own retry policy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TypeVar, cast
from uuid import uuid4

import grpc

from monitors.cli.failures import ExitCode, Failure, broke_off, failure_of, failures_told, pause_asked
from monitors.cli.progress import result_of
from monitors.mesh.audit import CLIENT_KEY
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")
OPTIONS = [
    # The mesh is never behind the proxy that a developer's shell may name.
    ("grpc.enable_http_proxy", 0),
    # Who watches for days finds the replicas that have replaced all that there were, and a mesh that was away for long.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
LONGEST_WAIT = 60.0
"""Seconds. After a large batch a tenant's bucket is full again within 20."""
CHANGE_REPEAT_DELAYS = (0.1, 0.4, 1.0)
"""Seconds between the tries of a change whose connection breaks, as when a replica is replaced. The contract's retry
policy has only calls that change nothing: for others each must carry an id, which makes a repetition harmless."""


@dataclass(frozen=True)
class Target:
    """Where the mesh is and the key that opens it. `missing_key` explains an empty key."""

    address: str
    key: str = field(repr=False)
    missing_key: str = ""


def find_target(environment: Mapping[str, str], *, as_service: bool = False) -> Target:
    """MONITORS_SERVER and MONITORS_KEY, else the local mesh and its key file; `as_service` takes the mesh's own token
    instead. Raises Failure."""
    address = environment.get("MONITORS_SERVER") or f"127.0.0.1:{environment.get('MONITORS_GRPC_PORT') or 50051}"
    if address.startswith(("http://", "https://")):
        raise Failure(f"MONITORS_SERVER: {address!r} is a URL; write the gRPC address as `host:port`", ExitCode.USAGE)
    if as_service:
        if token := environment.get("MONITORS_SERVICE_TOKEN", "").strip():
            return Target(address, _checked(token, "MONITORS_SERVICE_TOKEN"))
        raise Failure(
            "MONITORS_SERVICE_TOKEN isn't set; who names a tenant needs the token that the services of the mesh have",
            ExitCode.USAGE,
        )
    if key := environment.get("MONITORS_KEY", "").strip():
        return Target(address, _checked(key, "MONITORS_KEY"))
    file = Path(environment.get("MONITORS_HOME") or "~/.monitors").expanduser() / "key"
    try:
        return Target(address, _checked(file.read_text().strip(), str(file)))
    except FileNotFoundError:
        missing = f"no API key: MONITORS_KEY isn't set and there is no {file}, which `monitors up` makes"
    except (OSError, UnicodeDecodeError):
        missing = f"no API key: MONITORS_KEY isn't set and {file} can't be read; use the account that runs the mesh"
    return Target(address, "", missing)


TLS_FILES = ("MONITORS_TLS_CA_FILE", "MONITORS_TLS_KEY_FILE", "MONITORS_TLS_CERT_FILE")


def find_credentials(environment: Mapping[str, str]) -> grpc.ChannelCredentials | None:
    """By which certificate the mesh is called, and whose is taken from it; None for plain text. Raises Failure."""
    paths = [environment.get(name, "") for name in TLS_FILES]
    if not any(paths):
        return None
    missing = [name for name, path in zip(TLS_FILES, paths, strict=True) if not path]
    if missing:
        raise Failure(
            f"{' and '.join(missing)} isn't set; for a mesh that speaks TLS set {', '.join(TLS_FILES)} together, or "
            "none of them for plain text",
            ExitCode.USAGE,
        )
    contents = []
    for name, path in zip(TLS_FILES, paths, strict=True):
        try:
            contents.append(Path(path).read_bytes())
        except OSError as error:
            raise Failure(f"{name}: {path} can't be read ({error.strerror})", ExitCode.USAGE) from None
    return grpc.ssl_channel_credentials(*contents)


def _checked(key: str, source: str) -> str:
    # gRPC refuses such metadata with a message that would print the key.
    if not (key.isascii() and key.isprintable()):
        raise Failure(f"{source} doesn't hold a credential; a key begins with `alk_` and has letters, digits, - and _")
    return key


class Mesh:
    """Stubs of the three services, and the calls with credential, progress and readable failures."""

    def __init__(self, channel: grpc.Channel, target: Target) -> None:
        self.channel = channel
        self.address = target.address
        self.rules = RuleServiceStub(channel)
        self.evaluator = EvaluatorServiceStub(channel)
        self.notifier = NotifierServiceStub(channel)
        self._target = target

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with each call: what calls, for the audit, and the key."""
        client = (CLIENT_KEY, f"monitors-cli/{version('monitors-services')}")
        return (client, ("authorization", f"Bearer {self._target.key}")) if self._target.key else (client,)

    def call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None = None
    ) -> Response:
        """One call and its answer, within `timeout` seconds or what the contract says. Waits and asks again where there
        are too many requests, as the mesh says, and for a change with a `request_id` whose connection has broken.
        Raises Failure."""
        delays = iter(CHANGE_REPEAT_DELAYS if getattr(request, "request_id", "") else ())
        waited = 0.0
        while True:
            try:
                call = method.future(request, metadata=self.metadata, timeout=timeout)
                return result_of(cast("Future[Response]", call), f"asking {self.address}")
            except grpc.RpcError as error:
                pause = next(delays, 0.0) if broke_off(error) else pause_asked(error)
                waited += pause
                if not pause or waited > LONGEST_WAIT:
                    raise self.failure(error) from None
                time.sleep(pause)

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request, *, wait: bool = False
    ) -> Iterator[Response]:
        """The messages of a stream; `wait` waits for the mesh to come up. Raises grpc.RpcError, see `failure`."""
        call = method(request, metadata=self.metadata, wait_for_ready=wait)
        try:
            yield from call
        finally:
            call.cancel()

    def failure(self, error: grpc.RpcError) -> Failure:
        """What a failed call means to a person."""
        return failure_of(error, self.address, self._target.missing_key)


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A channel to the mesh, with the contract's retry policy; in plain text without credentials."""
    service_config = (files("monitors.v1") / "service_config.json").read_text()
    options = [("grpc.service_config", service_config), *OPTIONS]
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)


def new_request_id() -> str:
    """Makes a repeated mutation harmless, should the answer get lost."""
    return uuid4().hex


@contextmanager
def connected(*, as_service: bool = False) -> Iterator[Mesh]:
    """The mesh that the environment names, called with a key or, `as_service`, with the mesh's own token. A Failure
    inside is told and ends the command with its exit code."""
    with failures_told(), connected_at(find_target(os.environ, as_service=as_service)) as mesh:
        yield mesh


@contextmanager
def connected_at(target: Target) -> Iterator[Mesh]:
    """The mesh at that address. Raises Failure."""
    with open_channel(target.address, find_credentials(os.environ)) as channel:
        yield Mesh(channel, target)
