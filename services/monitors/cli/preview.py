"""`monitors rules preview`: what a rule means and would have done, before anything is saved."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli import rule_options as given
from monitors.cli.client import connected
from monitors.cli.durations import format_age, format_duration, format_measured
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.options import AsJson, read_duration
from monitors.cli.output import format_number, format_pairs, print_facts, print_json, print_table, tell, warn
from monitors.cli.rule_views import levels_text
from monitors.mesh.times import from_duration, from_timestamp, now_nanos, to_duration
from monitors.v1.evaluator_service_pb2 import BacktestResponse, Curve, SeriesInfo, ThresholdSuggestion
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import PreviewRuleRequest, PreviewRuleResponse

UNTITLED = "Preview"
BLOCKS = "▁▂▃▄▅▆▇█"
SPARKS = 60


def preview(
    rule_id: Annotated[str, typer.Argument(metavar="[ID]", help="A saved rule, or leave it out.")] = "",
    monitor: Annotated[str | None, typer.Option("--monitor", help="The monitor's id, or a pattern.")] = None,
    when: given.When = None,
    severity: given.SeverityOption = None,
    level: given.LevelOption = None,
    interval: given.Interval = None,
    for_duration: given.For = None,
    since: Annotated[
        int | None,
        typer.Option("--since", parser=read_duration, metavar="DURATION", help="Also try it on the past."),
    ] = None,
    chart: Annotated[Path | None, typer.Option("--chart", metavar="FILE", help="Write a chart (PNG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a rule means, what it matches and, with --since, what it would have done. Saves nothing."""
    if bool(rule_id) == bool(monitor and when):
        raise typer.BadParameter("give the ID of a saved rule, or --monitor and --when", param_hint="ID")
    rule = Rule(id=rule_id)
    if not rule_id:
        levels = given.read_levels(level) or None
        changes = given.Changes(monitor, UNTITLED, when, severity, levels, for_duration, interval=interval)
        given.apply(changes, rule)
    request = PreviewRuleRequest(rule=rule, include_chart=chart is not None)
    if since is not None:
        request.backtest_window.CopyFrom(to_duration(since))
    with connected() as mesh:
        response = mesh.call(mesh.rules.PreviewRule, request)
        if chart is not None:
            _save(chart, response.chart)
    warn(response.warnings)
    if as_json:
        print_json(documents.preview_document(response))
    else:
        _show(response)


def _save(file: Path, chart: bytes) -> None:
    try:
        file.write_bytes(chart)
    except OSError as error:
        raise Failure(f"{file} can't be written ({error.strerror}); name another file", ExitCode.FAILED) from None
    tell(f"The chart is in {file}")


def _show(preview: PreviewRuleResponse) -> None:
    rule = preview.rule
    print_facts(
        {
            "Condition": rule.condition_text,
            "Levels": levels_text(rule),
            "Meaning": preview.explanation,
            "For": format_duration(from_duration(rule.for_duration)),
            "Interval": format_duration(from_duration(rule.interval)),
            "Matches": "nothing yet" if not preview.matches else "",
        }
    )
    if preview.matches:
        now = now_nanos()
        rows = [_match_row(match, now) for match in preview.matches]
        print_table(("MATCHES", "FIELD", "TAGS", "VALUE", "SEEN"), rows, whole=("FIELD",))
    if preview.HasField("backtest"):
        _show_backtest(preview.backtest)


def _match_row(match: SeriesInfo, now: int) -> tuple[str, ...]:
    key = match.key
    value = format_number(match.last_value) if match.HasField("last_value") else match.last_text
    seen = format_age(from_timestamp(match.last_time), now) if match.HasField("last_time") else ""
    return key.monitor_id, f"{key.measurement}.{key.field}", format_pairs(key.tags), value, seen


def _curve_name(curve: Curve) -> str:
    return " ".join(filter(None, (curve.monitor_id, format_pairs(curve.group))))


def sparkline(values: Sequence[float]) -> str:
    """Values as a line of text: the greatest of each of at most 60 equal parts, a space where nothing is known."""
    parts = min(SPARKS, len(values))
    edges = [len(values) * number // parts for number in range(parts + 1)] if parts else []
    heights = [max((v for v in values[low:high] if math.isfinite(v)), default=None) for low, high in pairwise(edges)]
    known = [height for height in heights if height is not None]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    top = len(BLOCKS) - 1
    return "".join(" " if height is None else BLOCKS[round((height - low) / span * top)] for height in heights)


def _suggested(suggestion: ThresholdSuggestion) -> str:
    rate = suggestion.alerts_per_day
    return f"{format_number(suggestion.threshold)} for {f'{rate:.2g} alerts a day' if rate else 'none in this time'}"


def _show_backtest(backtest: BacktestResponse) -> None:
    print_facts(
        {
            "Would have fired": f"{backtest.count} {'time' if backtest.count == 1 else 'times'}",
            "In total": format_measured(from_duration(backtest.total)),
            "Longest": format_measured(from_duration(backtest.longest)),
            "Value now": format_number(backtest.current_value) if backtest.HasField("current_value") else "",
            "Thresholds": ", ".join(map(_suggested, backtest.suggestions)),
        }
    )
    curves = [(_curve_name(curve), sparkline(curve.values)) for curve in backtest.curves]
    if curves:
        print_table(("COMPARED", ""), curves, whole=("",))
    rows = [
        (
            documents.time_text(interval, "start_time") or "",
            documents.time_text(interval, "end_time") or "still firing",
            interval.monitor_id,
            format_pairs(interval.group),
            format_number(interval.value) if interval.HasField("value") else "",
        )
        for interval in backtest.intervals
    ]
    if rows:
        print_table(("FROM", "UNTIL", "MONITOR", "TAGS", "VALUE"), rows, whole=("FROM", "UNTIL"))
    warn(backtest.warnings)
