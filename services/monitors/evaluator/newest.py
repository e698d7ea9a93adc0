"""The newest point of each series, in memory."""

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.points import Points, run_of

_NEVER = np.iinfo(np.int64).min


class Newest:
    """The newest point of each series, by its index. Of two points of one time the later arrival counts."""

    def __init__(self) -> None:
        self._times = np.full(1_024, _NEVER, np.int64)
        self._values = np.zeros(1_024, np.uint64)
        self._texts: dict[int, str] = {}

    def update(self, points: Points, is_text: NDArray[np.bool_] | None = None) -> None:
        """Takes points in the order of their arrival; `is_text` says which of them hold texts, if any do."""
        if not len(points):
            return
        self._grow(int(points.series.max()) + 1)
        series, times, values = points.series, points.times, points.values
        run = run_of(series)
        if run and is_text is None and (times >= self._times[run]).all():
            self._times[run], self._values[run] = times, values
            return
        places: NDArray[np.intp] | None = None
        if len(times) > 1 and bool((times[1:] < times[:-1]).any()):
            places = np.argsort(times, kind="stable")
            series, times, values = series[places], times[places], values[places]
        late = times < self._times[series]
        if late.any():
            kept = np.flatnonzero(~late)
            places = kept if places is None else places[kept]
            series, times, values = series[kept], times[kept], values[kept]
        # Times ascend and of equal places the last is assigned, so that a series' newest point remains.
        self._times[series] = times
        self._values[series] = values
        if is_text is not None:
            self._keep_texts(points, np.arange(len(points)) if places is None else places, is_text)

    def _keep_texts(self, points: Points, places: NDArray[np.intp], is_text: NDArray[np.bool_]) -> None:
        for place in places[is_text[places]].tolist():
            self._texts[int(points.series[place])] = points.texts[int(points.values[place])]

    def _grow(self, count: int) -> None:
        if count > len(self._times):
            more = max(count, 2 * len(self._times)) - len(self._times)
            self._times = np.append(self._times, np.full(more, _NEVER, np.int64))
            self._values = np.append(self._values, np.zeros(more, np.uint64))

    def reported_by(self, time: int, count: int) -> NDArray[np.bool_]:
        """Of the first so many series, which had their newest point by then. May be asked in any thread."""
        times = self._times[:count]
        reported = np.zeros(count, np.bool_)
        reported[: len(times)] = (times != _NEVER) & (times <= time)
        return reported

    def of(self, index: int) -> Points:
        """The newest point of a series, or none."""
        return self._take(np.array([index] if index < len(self._times) else [], np.int64))

    def all(self) -> Points:
        """The newest points of all series that have one."""
        return self._take(np.arange(len(self._times)))

    def _take(self, indexes: NDArray[np.int64]) -> Points:
        indexes = indexes[self._times[indexes] != _NEVER]
        values = self._values[indexes]
        texts: list[str] = []
        for place, index in enumerate(indexes.tolist()) if self._texts else ():
            if index in self._texts:
                values[place] = len(texts)
                texts.append(self._texts[index])
        return Points(indexes.astype(np.int32), self._times[indexes], values, tuple(texts))
