"""The picture of a backtest or of an alert: what was compared, with what, and when the rule fired or would have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from io import BytesIO
from typing import Any

from monitors.mesh.times import DAY

# On white and on black alike: the picture's own background is a light card.
BACKGROUND, INK, FAINT, FIRING = "#fbfbf9", "#26282b", "#9aa0a6", "#d93025"
CURVES = ("#1a73e8", "#188038", "#9334e6", "#e37400", "#00838f")
LONGEST_TEXT = 120
GREATEST = 1e300
FEW_POINTS = 40
"""A line of no more is drawn with its points, so that a single one is seen as well."""


@dataclass(frozen=True)
class Line:
    """A curve: nanoseconds and values, which may be NaN."""

    name: str
    times: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """What is drawn. `thresholds` are the numbers that were compared with; `firing` are times in nanoseconds."""

    title: str
    subtitle: str
    lines: Sequence[Line]
    thresholds: Sequence[float]
    firing: Sequence[tuple[int, int]]
    start: int
    end: int


@dataclass(frozen=True)
class Size:
    """How large a picture is, with letters as large on all. `title_length` is how many characters fit."""

    inches: tuple[float, float]
    dots_per_inch: int
    title_length: int = LONGEST_TEXT


LARGE = Size((10.0, 4.2), 120)
"""1,200 × 504 pixels."""
MESSAGE = Size((6.0, 2.5), 200, 50)
"""1,200 × 500 pixels, to be shown half as wide."""
SMALL_MESSAGE = Size((6.0, 2.5), 100, 50)
# What is tried in order until it's small enough.
_FORMS = ((MESSAGE, 64), (SMALL_MESSAGE, 32), (SMALL_MESSAGE, 16), (SMALL_MESSAGE, 8))
_LEAST_OF_LARGE = 16_384
"""In fewer bytes no large picture fits."""


def draw_within(chart: Chart, most: int) -> bytes:
    """The chart for a message, as a PNG of at most `most` bytes; empty if it can't be had in so few."""
    from PIL import Image

    drawn: dict[Size, bytes] = {}
    for size, colours in _FORMS if most >= _LEAST_OF_LARGE else _FORMS[1:]:
        if size not in drawn:
            drawn[size] = draw(chart, size)
        picture = BytesIO()
        with Image.open(BytesIO(drawn[size])) as image:
            image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(picture, "PNG", optimize=True)
        if len(picture.getvalue()) <= most:
            return picture.getvalue()
    return b""


def draw(chart: Chart, size: Size = LARGE) -> bytes:
    """The chart as a PNG."""
    # Takes half a second to import, and most runs draw nothing.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size.inches, dpi=size.dots_per_inch, facecolor=BACKGROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=BACKGROUND)
    for start, end in chart.firing:
        axes.axvspan(_days(start), _days(end), color=FIRING, alpha=0.16, linewidth=0.6)
    for line, colour in zip(chart.lines, CURVES, strict=False):
        # Values are text in no markup: a name with a dollar sign isn't a formula.
        times, values = list(map(_days, line.times)), list(map(_drawable, line.values))
        marker = "o" if len(times) <= FEW_POINTS else ""
        axes.plot(times, values, color=colour, linewidth=1.2, marker=marker, markersize=3, label=_plain(line.name))
    for threshold in chart.thresholds:
        axes.axhline(_drawable(threshold), color=FIRING, linewidth=1.1, linestyle=(0, (5, 3)))
    axes.set_xlim(_days(chart.start), _days(chart.end))
    _dress(axes, chart, size)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _dress(axes: Any, chart: Chart, size: Size) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes.set_title(
        _plain(chart.title, size.title_length), loc="left", fontsize=12, color=INK, fontweight="bold", pad=24
    )
    longest = size.title_length * 3 // 2
    axes.text(0, 1.035, _plain(chart.subtitle, longest), transform=axes.transAxes, fontsize=9, color=INK)
    locator = AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.grid(visible=True, axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    if len(chart.lines) > 1:
        axes.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=INK)
    if not any(line.times for line in chart.lines):
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT, fontsize=14)


def _drawable(value: float) -> float:
    """A number whose distance from others is one as well; what is infinite isn't drawn."""
    return min(max(value, -GREATEST), GREATEST) if math.isfinite(value) else math.nan


def _days(nanos: int) -> float:
    """Days since 1970, as matplotlib counts time."""
    return nanos / DAY


def _plain(text: str, longest: int = LONGEST_TEXT) -> str:
    # A dollar sign would begin a formula.
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return short.replace("$", r"\$")
