"""How a block's columns lie in its bytes.

A block is a header and frames. The header names the unit of its times and counts series, time vectors, points, patches
and texts; then come the lengths of the frames and the frames, each compressed by itself with a checksum, an empty one
left out. All numbers are little-endian.

- directory: for each series its index, its count of points, the place of its time vector, its kind, its width and its
  first value;
- vectors: series that were measured at the same times share one vector of them; for each its length, its first time and
  its least step;
- patches: places and bits of the doubles that are no decimals in a series of decimals;
- texts: the lengths in bytes of the distinct texts, then the texts;
- times: what the steps exceed the vector's least step by, in units;
- four columns of residuals, for the series whose residuals fit 1, 2, 4 and 8 bytes; a series of equal values has none.

A column of numbers is shuffled: first the lowest byte of each number, then the next one. For times and residuals each
of these planes is a frame by itself, so that noise and order aren't compressed with one table.

A residual is the zigzag of a value less the one before it, modulo 2^64, or, for kind XOR, the exclusive or of the two.
A kind up to DECIMALS is a series of doubles that are integers divided by 10^kind.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from monitors.evaluator.model.series import Int64s

Numbers = NDArray[Any]
UInts = NDArray[np.uint64]

DECIMALS = 9
"""As many digits after the point are looked for."""
XOR = 100
WHOLE = 101
"""Kinds: doubles that are no short decimals; values that are 64-bit integers, or places in the block's texts."""

TIME_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
"""Nanoseconds; the header names one by its place."""
WIDTHS = (1, 2, 4, 8)
DIRECTORY = ("<u4", "<u4", "<u4", "<u1", "<u1", "<u8")
VECTORS = ("<u4", "<u8", "<u8")
PATCHES = ("<u4", "<u8")
TIME_PLANES = 8

LEVEL = 1
"""Of zstd. Higher ones gain 2 % and cost five times as much."""

_HEADER = struct.Struct("<B5I")
_DIRECTORY, _VECTORS, _PATCHES, _TEXTS, _TIMES = range(5)
_RESIDUALS = _TIMES + TIME_PLANES
_FRAMES = _RESIDUALS + sum(WIDTHS)
_LENGTHS = struct.Struct(f"<{_FRAMES}I")


def ranges(starts: Int64s, counts: Int64s) -> Int64s:
    """start, start + 1, … for each start, count numbers each."""
    ends = np.cumsum(counts)
    numbers: Int64s = np.repeat(starts - (ends - counts), counts)
    numbers += np.arange(len(numbers))
    return numbers


class DamagedBlock(ValueError):
    """The bytes aren't those of a block."""


@dataclass(frozen=True)
class Header:
    """The unit of the times, as a place in TIME_UNITS, and how much of everything there is."""

    unit: int
    series: int
    vectors: int
    points: int
    patches: int
    texts: int


@dataclass(frozen=True)
class Columns:
    """A block's columns as `pack` takes them. `residuals` holds one for each of WIDTHS."""

    unit: int
    directory: Sequence[Numbers]
    vectors: Sequence[Numbers]
    patches: Sequence[Numbers]
    texts: Sequence[bytes]
    steps: UInts
    residuals: Sequence[UInts]


def pack(columns: Columns) -> bytes:
    """The block's bytes."""
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)

    def squeeze(data: bytes) -> bytes:
        return compressor.compress(data) if data else b""

    counts = int(columns.directory[1].astype(np.int64).sum())
    header = _HEADER.pack(
        columns.unit,
        len(columns.directory[0]),
        len(columns.vectors[0]),
        counts,
        len(columns.patches[0]),
        len(columns.texts),
    )
    lengths = np.array([len(text) for text in columns.texts], "<u4").tobytes()
    frames = [
        squeeze(_table(columns.directory, DIRECTORY)),
        squeeze(_table(columns.vectors, VECTORS)),
        squeeze(_table(columns.patches, PATCHES)),
        squeeze(b"".join((lengths, *columns.texts))),
        *(squeeze(plane) for plane in _planes(columns.steps, TIME_PLANES)),
    ]
    for width, residuals in zip(WIDTHS, columns.residuals, strict=True):
        frames += [squeeze(plane) for plane in _planes(residuals, width)]
    return b"".join((header, _LENGTHS.pack(*map(len, frames)), *frames))


def _table(columns: Sequence[Numbers], kinds: Sequence[str]) -> bytes:
    return b"".join(
        plane
        for column, kind in zip(columns, kinds, strict=True)
        for plane in _shuffled(np.ascontiguousarray(column.astype(kind)))
    )


def _shuffled(column: Numbers) -> list[bytes]:
    width = column.dtype.itemsize
    return [plane.tobytes() for plane in column.view(np.uint8).reshape(-1, width).T]


def _planes(numbers: UInts, width: int) -> list[bytes]:
    """The lowest bytes, the next ones, and so on; planes that hold nothing but zeros at the end are empty."""
    highest = int(numbers.max()) if len(numbers) else 0
    needed = next(size for size in (0, *WIDTHS) if highest < 256**size)
    planes = _shuffled(numbers.astype(f"<u{needed}")) if needed else []
    return planes + [b""] * (width - needed)


class Packed:
    """A block's bytes, opened frame by frame as they're needed. Raises DamagedBlock."""

    def __init__(self, data: bytes) -> None:
        try:
            self.header = Header(*_HEADER.unpack_from(data))
            lengths = _LENGTHS.unpack_from(data, _HEADER.size)
        except struct.error:
            raise DamagedBlock("the block's header is cut off") from None
        self._data = data
        self._ends = np.cumsum((_HEADER.size + _LENGTHS.size, *lengths)).tolist()
        if self._ends[-1] != len(data):
            raise DamagedBlock(f"the block has {len(data):,} bytes, its header says {self._ends[-1]:,}")
        self._decompressor = zstandard.ZstdDecompressor()

    def _frame(self, place: int) -> bytes:
        start, end = self._ends[place : place + 2]
        if start == end:
            return b""
        try:
            return self._decompressor.decompress(memoryview(self._data)[start:end])
        except zstandard.ZstdError as error:
            raise DamagedBlock(f"frame {place} can't be decompressed: {error}") from None

    def directory(self) -> list[Numbers]:
        """The columns of DIRECTORY."""
        return self._table(_DIRECTORY, DIRECTORY, self.header.series)

    def vectors(self) -> list[Numbers]:
        """The columns of VECTORS."""
        return self._table(_VECTORS, VECTORS, self.header.vectors)

    def patches(self) -> list[Numbers]:
        """The columns of PATCHES."""
        return self._table(_PATCHES, PATCHES, self.header.patches)

    def _table(self, place: int, kinds: Sequence[str], count: int) -> list[Numbers]:
        data, columns, start = self._frame(place), [], 0
        for kind in kinds:
            width = np.dtype(kind).itemsize
            if len(data) < start + width * count:
                raise DamagedBlock(f"frame {place} is too short")
            planes = np.frombuffer(data, np.uint8, width * count, start).reshape(width, count)
            columns.append(np.ascontiguousarray(planes.T).reshape(-1).view(kind))
            start += width * count
        return columns

    def texts(self) -> tuple[str, ...]:
        """The block's texts."""
        data, count = self._frame(_TEXTS), self.header.texts
        if not count:
            return ()
        ends = (4 * count + np.cumsum(np.frombuffer(data, "<u4", count), dtype=np.int64)).tolist()
        return tuple(data[start:end].decode() for start, end in zip((4 * count, *ends), ends, strict=False))

    def steps(self, count: int) -> Numbers:
        """The column of times, of which there are `count`, as unsigned integers."""
        return self._column(_TIMES, TIME_PLANES, count)

    def residuals(self, width: int, count: int) -> Numbers:
        """The column of residuals of that width, of which there are `count`, as unsigned integers."""
        place = _RESIDUALS + sum(smaller for smaller in WIDTHS if smaller < width)
        return self._column(place, width, count)

    def _column(self, place: int, width: int, count: int) -> Numbers:
        planes = [self._frame(place + byte) for byte in range(width)]
        if any(plane and len(plane) != count for plane in planes):
            raise DamagedBlock(f"a plane from frame {place} on doesn't have {count:,} bytes")
        used = max((byte + 1 for byte in range(width) if planes[byte]), default=1)
        numbers = np.zeros((count, next(size for size in WIDTHS if size >= used)), np.uint8)
        for byte in range(used):
            if planes[byte]:
                numbers[:, byte] = np.frombuffer(planes[byte], np.uint8)
        return numbers.reshape(-1).view(f"<u{numbers.shape[1]}")
