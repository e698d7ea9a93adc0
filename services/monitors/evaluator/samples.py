"""Columns of samples as WriteSamples takes them, to submissions; checked, and resolved once for each series."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.messages import from_definition_message
from monitors.evaluator.model.arrays import selection
from monitors.evaluator.model.series import FieldType, Int32s
from monitors.evaluator.points import Definition, Points, Submission
from monitors.mesh.errors import InvalidField
from monitors.v1 import evaluator_service_pb2 as pb

N = TypeVar("N", bound=np.generic)
MAX_DEFINITIONS = 1_000_000


class SampleStream:
    """The series that a stream has defined so far for one tenant.

    A series is asked of the catalogue until it's there; from then on its points are taken by one look into an array.
    """

    def __init__(self, tenant: str, catalogue: Catalogue) -> None:
        self.tenant = tenant
        self._catalogue = catalogue
        # By place in the stream: the catalogue's index, or ~place.
        self._indexes: Int32s = np.empty(0, np.int32)
        self._types: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._kinds: set[FieldType] = set()
        self._unresolved: dict[int, Definition] = {}

    def take(self, request: pb.WriteSamplesRequest) -> Submission:
        """The samples of a message, and its definitions for later ones. Raises InvalidField."""
        if request.series:
            self._define(request)
        places = _column("series_indexes", request.series_indexes, np.dtype("<u4"))
        times = _column("times", request.times, np.dtype("<i8"))
        values = _column("values", request.values, np.dtype("<u8"))
        for name, column in (("times", times), ("values", values)):
            if len(column) != len(places):
                raise InvalidField(
                    name, f"{len(column):,} entries, but series_indexes has {len(places):,}; send one for each sample"
                )
        if len(places) and int(places.max()) >= len(self._indexes):
            raise InvalidField(
                "series_indexes",
                f"{int(places.max())} names no series; {len(self._indexes)} are defined so far, counted from 0",
            )
        self._check_values(places, values, len(request.texts))
        points = Points(self._resolved(places), times, values, tuple(request.texts))
        return Submission(self.tenant, self._unresolved, points)

    def _define(self, request: pb.WriteSamplesRequest) -> None:
        start = len(self._indexes)
        if start + len(request.series) > MAX_DEFINITIONS:
            raise InvalidField("series", f"more than {MAX_DEFINITIONS:,} in one stream; begin another stream")
        places = range(start, start + len(request.series))
        new = [
            from_definition_message(one, self.tenant, place) for place, one in zip(places, request.series, strict=True)
        ]
        self._unresolved.update(zip(places, new, strict=True))
        self._indexes = np.append(self._indexes, ~np.arange(places.start, places.stop, dtype=np.int32))
        self._types = np.append(self._types, np.array([one.type for one in new], np.uint8))
        self._kinds.update(one.type for one in new)

    def _check_values(self, places: NDArray[np.uint32], values: NDArray[np.uint64], text_count: int) -> None:
        if FieldType.STRING in self._kinds and (values[self._types[places] == FieldType.STRING] >= text_count).any():
            raise InvalidField(
                "values",
                f"a text's index is outside of `texts`, which has {text_count}; count from 0 in each message",
            )
        if FieldType.BOOLEAN in self._kinds and (values[self._types[places] == FieldType.BOOLEAN] > 1).any():
            raise InvalidField("values", "a boolean is neither 0 nor 1; send 0 or 1 as uint64")

    def _resolved(self, places: NDArray[np.uint32]) -> Int32s:
        # A copy, since what is resolved later is written to its place.
        indexes = np.array(self._indexes[selection(places)])
        if not self._unresolved or not len(indexes) or int(indexes.min()) >= 0:
            return indexes
        found = False
        for place in np.unique(places[indexes < 0]).tolist():
            index = self._catalogue.index_of(self._unresolved[place])
            if index is not None:
                self._indexes[place] = index
                del self._unresolved[place]
                found = True
        return np.array(self._indexes[selection(places)]) if found else indexes

    def place_of(self, series: int) -> int:
        """The place in the stream of a series as a submission names it."""
        return ~series if series < 0 else int(np.flatnonzero(self._indexes == series)[0])


def _column(name: str, data: bytes, kind: "np.dtype[N]") -> NDArray[N]:
    if len(data) % kind.itemsize:
        raise InvalidField(name, f"{len(data):,} bytes; send {kind.itemsize} bytes for each sample, little-endian")
    return np.frombuffer(data, kind)
