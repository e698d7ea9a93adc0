"""InfluxDB's HTTP manners: where credentials stand, how bodies are packed, and what errors look like."""

import zlib
from http import HTTPStatus

from aiohttp import BasicAuth, web

from monitors.evaluator.intake import Written
from monitors.evaluator.lines import ParsedLines
from monitors.mesh.errors import MeshError, Unauthenticated

VERSION = "v2.7.12"
BUILD = "OSS"
MAX_BODY = 25_000_000
# Each one costs a copy of the rest; senders make one.
MAX_MEMBERS = 16
MAX_TOLD = 10
V1_PATHS = ("/write", "/query")

_STATUS_OF_CODE = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "UNIMPLEMENTED": HTTPStatus.NOT_IMPLEMENTED,
    "FAILED_PRECONDITION": HTTPStatus.UNPROCESSABLE_ENTITY,
}
_CODE_OF_STATUS = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method not allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported media type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "unprocessable entity",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests",
    HTTPStatus.NOT_IMPLEMENTED: "not implemented",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}


class HttpError(Exception):
    """An answer other than success, for the client to see."""

    def __init__(self, status: HTTPStatus, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def from_mesh_error(error: MeshError) -> HttpError:
    """The same error, as HTTP tells it."""
    status = _STATUS_OF_CODE.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    return HttpError(status, error.message, error.retry_after)


def error_response(path: str, error: HttpError) -> web.Response:
    """The error as InfluxDB 1.x or 2.x words it, as the path demands."""
    headers = version_headers()
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(round(error.retry_after), 1))
    if path in V1_PATHS:
        headers["X-Influxdb-Error"] = " ".join(error.message.encode("ascii", "replace").decode().split())[:1_000]
        return web.json_response({"error": error.message}, status=error.status, headers=headers)
    code = _CODE_OF_STATUS.get(error.status, "internal error")
    headers["X-Platform-Error-Code"] = code
    return web.json_response({"code": code, "message": error.message}, status=error.status, headers=headers)


def version_headers() -> dict[str, str]:
    """What InfluxDB says about itself with every answer; clients look for the major version."""
    return {"X-Influxdb-Version": VERSION, "X-Influxdb-Build": BUILD}


def credential_of(request: web.Request) -> str:
    """The API key from wherever InfluxDB's clients put a token or a password. Raises Unauthenticated."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            value = BasicAuth.decode(f"Basic {value}").password
        except ValueError:
            value = ""
    elif scheme.lower() in ("token", "bearer"):
        # Clients of 1.8 send `user:password` as a token; keys hold no colon.
        value = value.rpartition(":")[2]
    else:
        value = request.query.get("p", "")
    if not value:
        raise Unauthenticated(
            "unauthorized access: send `Authorization: Token <API key>` (the local key is in $MONITORS_HOME/key), "
            "or the key as the password"
        )
    return value


def unpack(body: bytes, encoding: str) -> bytes:
    """The body less its compression. Never makes more than 25 MB of it. Raises HttpError."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {encoding[:40]!r} isn't taken; send gzip or none"
        )
    unpacked = b""
    try:
        for _ in range(MAX_MEMBERS):
            member = zlib.decompressobj(wbits=31)
            unpacked += member.decompress(body, MAX_BODY + 1 - len(unpacked))
            if len(unpacked) > MAX_BODY:
                raise too_large()
            if not member.eof:
                raise HttpError(HTTPStatus.BAD_REQUEST, "gzip: unexpected EOF; send the whole body")
            body = member.unused_data
            if not body:
                return unpacked
        raise HttpError(HTTPStatus.BAD_REQUEST, f"gzip: more than {MAX_MEMBERS} members; pack the body at once")
    except zlib.error:
        raise HttpError(
            HTTPStatus.BAD_REQUEST, "gzip: invalid data; send a gzip body, or leave out Content-Encoding"
        ) from None


def too_large() -> HttpError:
    """The body is over the limit."""
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {MAX_BODY:,} bytes uncompressed; send it in smaller parts",
    )


def partial_write(path: str, parsed: ParsedLines, written: Written) -> HttpError | None:
    """The error for what wasn't taken; None if everything was."""
    if not parsed.error_count and not written.refused:
        return None
    told = [str(error) for error in parsed.errors[:MAX_TOLD]]
    if parsed.error_count > len(told):
        told.append(f"and {parsed.error_count - len(told):,} more lines")
    told += _distinct_reasons(written)
    reasons = "\n".join(told)
    if not written.accepted and not written.refused:
        return HttpError(HTTPStatus.BAD_REQUEST, reasons)
    message = f"partial write: {reasons} dropped={parsed.error_count + written.refused}"
    if path in V1_PATHS or parsed.error_count:
        return HttpError(HTTPStatus.BAD_REQUEST, message)
    return HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, f"failure writing points to database: {message}")


def _distinct_reasons(written: Written) -> list[str]:
    reasons = list(dict.fromkeys(refusal.reason for refusal in written.refusals))
    more = len(reasons) - MAX_TOLD
    return [*reasons[:MAX_TOLD], f"and {more:,} more reasons"] if more > 0 else reasons
