"""How the command fails: one line on stderr and an exit code that a script can tell apart."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import grpc
import typer

from monitors.cli.output import tell


class ExitCode(IntEnum):
    """What the command's exit says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    INVALID = 4
    UNAUTHENTICATED = 5
    UNREACHABLE = 6
    CONFLICT = 7


CODES = {
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.INVALID,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.UNAUTHENTICATED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    grpc.StatusCode.CANCELLED: ExitCode.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
    grpc.StatusCode.ABORTED: ExitCode.CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.CONFLICT,
}


COMMANDS = {
    "ListRules": "monitors rules list",
    "ListAlerts": "monitors alerts list",
    "ListMonitors": "monitors list",
    "ListChannels": "monitors channels list",
    "ListKeys": "monitors keys list",
}
BROKEN_OFF = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_CALL = re.compile(rf"\b(?:{'|'.join(COMMANDS)})\b")


class Failure(Exception):
    """The command can't do it. The message is complete: what, why, and the fix."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


class NotServed(Failure):
    """Whoever answered has no such service."""


@contextmanager
def failures_told() -> Iterator[None]:
    """Tells a Failure in one line and ends the command with its code."""
    try:
        yield
    except Failure as failure:
        tell(f"error: {failure}")
        raise typer.Exit(failure.code) from None


def failure_of(error: grpc.RpcError, address: str, missing_key: str) -> Failure:
    """What a failed call means. The mesh's own message stands as it is; a silent network needs words of ours.

    `missing_key` says where a key was looked for in vain, or is empty if one was sent.
    """
    status: grpc.StatusCode = error.code()
    code = CODES.get(status, ExitCode.FAILED)
    if status is grpc.StatusCode.UNAUTHENTICATED and missing_key:
        return Failure(missing_key, code)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failure(f"the mesh at {address} took too long to answer; look at `monitors status` and try again", code)
    if broke_off(error):
        return Failure(
            f"the mesh at {address} can't be reached; start it with `monitors up`, "
            "or set MONITORS_SERVER to where it runs",
            code,
        )
    if status is grpc.StatusCode.UNIMPLEMENTED and not _from_the_mesh(error):
        return NotServed(
            f"{address} doesn't serve this; services that run on their own have an address each, and MONITORS_SERVER "
            "names the one that is asked",
            code,
        )
    return Failure(_in_commands(error.details() or f"the call failed with {status.name}"), code)


def broke_off(error: grpc.RpcError) -> bool:
    """Whether it was the connection that failed, or none could be made, rather than the mesh that refused. A server
    that ends cancels what has only just come to it."""
    return error.code() in BROKEN_OFF and not _from_the_mesh(error)


def pause_asked(error: grpc.RpcError) -> float:
    """After how many seconds a call may be repeated that came when there were too many requests; 0 for what failed
    otherwise."""
    # Most commands need neither, and they take a while to import.
    from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
    from grpc_status import rpc_status

    status = rpc_status.from_call(error) if isinstance(error, grpc.Call) else None
    info, retry = ErrorInfo(), RetryInfo()
    details: Iterable[Any] = status.details if status else ()
    for detail in details:
        detail.Unpack(info)
        detail.Unpack(retry)
    is_of_requests = info.reason == "QUOTA_EXCEEDED" and info.metadata.get("quota") == "requests"
    return retry.retry_delay.ToNanoseconds() / 1e9 if is_of_requests else 0.0


def _in_commands(message: str) -> str:
    """A message of the mesh with our commands in place of its calls."""
    return _CALL.sub(lambda match: f"`{COMMANDS[match.group()]}`", message)


def _from_the_mesh(error: grpc.RpcError) -> bool:
    from grpc_status import rpc_status

    return isinstance(error, grpc.Call) and rpc_status.from_call(error) is not None
