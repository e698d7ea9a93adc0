"""What can be wrong with a source. No text holds a credential, nor much of a server's own words."""

from http import HTTPStatus

from monitors.mesh.errors import MeshError

RETRY_SECONDS = 5.0
SAID_OF_POINTS = 1_000


class SourceError(MeshError):
    """The source gave no complete answer. `status` is that of its HTTP answer, None if there was none."""

    def __init__(self, message: str, status: int | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(f"InfluxDB {message}", metadata={"service": "influxdb"}, retry_after=retry_after)
        self.status = status


class SourceUnavailable(SourceError):
    """It's away, too slow or has broken off: the same question may be answered later, at once if `again`."""

    code, reason = "UNAVAILABLE", "SERVICE_UNAVAILABLE"

    def __init__(self, message: str, status: int | None = None, *, again: bool = False) -> None:
        super().__init__(message, status, retry_after=RETRY_SECONDS)
        self.again = again


class SourceRefused(SourceError):
    """It's there and says no: somebody has to change the token, the bucket or the address first."""

    code, reason = "FAILED_PRECONDITION", "WRONG_STATE"


class WriteRefused(SourceError):
    """It doesn't take points as they are. Others of the same write may have been taken, as its own words say."""

    code, reason = "INVALID_ARGUMENT", "INVALID_FIELD"


def write_refusal(status: int, said: str, bucket: str, org: str = "") -> SourceError:
    """The error for a write that was answered otherwise than with success; `said` is the server's own message.

    What only the operator can mend is told as an outage: the sender did nothing wrong, and is to keep its points.
    """
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return WriteRefused(f"refuses points: {short(said, SAID_OF_POINTS)}", status)
    if status == HTTPStatus.FORBIDDEN:
        error: SourceError = SourceRefused(f"doesn't let this token write to bucket {bucket!r}; give it the right to")
    else:
        error = refusal(status, said, bucket, org)
    if isinstance(error, SourceUnavailable):
        return error
    return SourceUnavailable(error.message.removeprefix("InfluxDB "), status)


def refusal(status: int, said: str, bucket: str, org: str = "") -> SourceError:
    """The error for an answer other than 200; `said` is the server's own message."""
    place = f"bucket {bucket!r}" + (f" of organisation {org!r}" if org else "")
    told = f" (it says: {short(said)})" if said else ""
    if status == HTTPStatus.UNAUTHORIZED:
        return SourceRefused(
            f"doesn't accept the credential; check INFLUXDB_TOKEN, or user and password of a 1.x{told}", status
        )
    if status == HTTPStatus.FORBIDDEN:
        return SourceRefused(f"doesn't let this token read {place}; give it the right to{told}", status)
    if status == HTTPStatus.NOT_FOUND:
        return SourceRefused(
            f"doesn't find {place}, or the token mayn't see it; check INFLUXDB_BUCKET and INFLUXDB_ORG{told}", status
        )
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT) or status >= 500:
        again = status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
        return SourceUnavailable(f"can't answer now: status {status}{told}", status, again=again)
    return SourceRefused(f"refuses the query: status {status}{told}", status)


def short(said: str, most: int = 200) -> str:
    """A server's message as it may be shown: one line, no control characters, not more than so many."""
    line = " ".join(said.split())
    cut = line if len(line) <= most else f"{line[:most]}…"
    return "".join(character if character.isprintable() else "�" for character in cut)
