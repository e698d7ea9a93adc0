"""Statements by the database's driver itself, for what is executed most often.

SQLAlchemy prepares for results and parameters of any kind, which costs many times what a short statement does. What
listens to its statements, the guard of tenancy foremost, is told of these as well, and errors are told as it does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


class _Context:
    """What those who listen are told about a statement that SQLAlchemy hasn't compiled itself."""

    compiled = None

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.execution_options = options


def execute(
    connection: Connection, text: str, parameters: Sequence[Any], options: Mapping[str, Any], *, many: bool = False
) -> Any:
    """Executes a text and returns the driver's cursor. `many` says that it's executed once for each of the parameters.
    Raises DBAPIError."""
    cursor = connection.connection.cursor()
    context = _Context(options)
    for listener in connection.dispatch.before_cursor_execute:
        text, parameters = listener(connection, cursor, text, parameters, context, many)
    try:
        if many:
            cursor.executemany(text, parameters)
        else:
            cursor.execute(text, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(connection, cursor, text, parameters, error, is_many=many) from error
    for listener in connection.dispatch.after_cursor_execute:
        listener(connection, cursor, text, parameters, context, many)
    return cursor


def _told(
    connection: Connection, cursor: Any, text: str, parameters: Any, error: Any, *, is_many: bool
) -> BaseException:
    """The error as SQLAlchemy tells it. A connection that broke isn't used again."""
    is_lost = connection.dialect.is_disconnect(error, connection.connection, cursor)
    if is_lost:
        connection.invalidate(error)
    base: Any = connection.dialect.loaded_dbapi.Error
    told: BaseException = DBAPIError.instance(
        text,
        parameters,
        error,
        base,
        hide_parameters=connection.engine.hide_parameters,
        connection_invalidated=is_lost,
        dialect=connection.dialect,
        ismulti=is_many,
    )
    return told
