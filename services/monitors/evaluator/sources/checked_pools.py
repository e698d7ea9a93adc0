"""Connections of urllib3, which InfluxDB's client uses, to checked addresses alone."""

import socket

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from monitors.mesh.outbound import connect_blocking


def _connected(connection: HTTPConnection) -> socket.socket:
    """As urllib3 does it, with its errors."""
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        return connect_blocking(connection._dns_host, connection.port, timeout, connection.socket_options or ())
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"{connection.host} doesn't answer") from error
    except OSError as error:
        raise NewConnectionError(connection, f"{connection.host} can't be connected to: {error}") from error


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def check_addresses(manager: PoolManager) -> None:
    """Lets a manager connect to no address at which no service of the operator's can be."""
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
