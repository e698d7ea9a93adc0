"""The schema's versions, each by Alembic."""
