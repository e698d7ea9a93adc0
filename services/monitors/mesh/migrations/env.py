"""Alembic's environment, the same for each service; `Database.upgrade` passes the connection."""

from alembic import context

connection = context.config.attributes["connection"]
# SQLite can't alter a table in place: batch mode copies it.
context.configure(connection=connection, render_as_batch=True, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
