"""The tables. `format` says how `points` is encoded: RAW is `points.encode`, BLOCK is `blocks.layout`."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, SmallInteger, String, Table

from monitors.mesh.tenancy import OF_THE_MESH

RAW = 1
BLOCK = 2
_BY_SERIES = "points of all tenants by the numbers of their series, which the catalogue gives each tenant its own of"

_metadata = MetaData()
series = Table(
    "series",
    _metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("series_index", BigInteger, primary_key=True, autoincrement=False),
    Column("monitor_id", String(256)),
    Column("measurement", String(256)),
    Column("field", String(256)),
    Column("tags", LargeBinary),
    Column("type", SmallInteger),
)
batches = Table(
    "batches",
    _metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_number", BigInteger),
    Column("accepted_at", BigInteger),
    Column("first_time", BigInteger),
    Column("last_time", BigInteger),
    Column("point_count", BigInteger),
    Column("format", SmallInteger),
    Column("parts", LargeBinary),
    Column("points", LargeBinary),
    info={OF_THE_MESH: _BY_SERIES},
)
blocks = Table(
    "blocks",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("number", BigInteger),
    Column("accepted_at", BigInteger),
    Column("first_time", BigInteger),
    Column("last_time", BigInteger),
    Column("first_series", BigInteger),
    Column("last_series", BigInteger),
    Column("point_count", BigInteger),
    Column("format", SmallInteger),
    Column("points", LargeBinary),
    info={OF_THE_MESH: _BY_SERIES},
)
newest = Table(
    "newest",
    _metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger),
    Column("format", SmallInteger),
    Column("points", LargeBinary),
    info={OF_THE_MESH: _BY_SERIES},
)
