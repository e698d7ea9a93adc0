"""A service's own database, at the URL that it is given: a SQLite file, or a MySQL or MariaDB server."""

from sqlalchemy.orm import Session as Session

from monitors.mesh.database.database import Database as Database
from monitors.mesh.database.failures import DatabaseAway as DatabaseAway
from monitors.mesh.database.failures import DatabaseUnusable as DatabaseUnusable
from monitors.mesh.database.failures import storage_error as storage_error
from monitors.mesh.database.sqlite import sqlite_url as sqlite_url
