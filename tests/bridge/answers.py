"""Any answer that a tool may give, as hypothesis makes them up from the models."""

import types
from datetime import UTC, datetime, timedelta
from typing import Any, Union, get_args, get_origin

from hypothesis import strategies as st

from monitors.bridge import models
from monitors.bridge.backtest_models import Backtest, Curve
from monitors.bridge.convert import clean
from monitors.bridge.output import Output
from monitors.bridge.values import iso, measured, to_timestamp

TIMES = frozenset((
    "time", "fired", "ended", "resolved", "last_time", "start", "end", "since", "evaluated", "created", "updated",
    "snoozed_until", "acknowledged", "true_since",
))  # fmt: skip
DETAILS = ("for_", "cooldown", "interval", "no_data", "notify", "enabled")
"""What a rule has either all of or nothing."""

texts = st.text(min_size=1, max_size=30).map(clean).filter(bool)
times = st.integers(0, 8 * 10**9).map(lambda seconds: iso(to_timestamp((1 + seconds) * 10**9)))
numbers = st.floats(width=64).map(measured)
counts = st.integers(1, 10**6)


def _of(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    """Values of a type; a text of a field that is a time is one."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of([_of(each, name) for each in inside])
    if origin is list:
        return st.lists(_of(inside[0], ""), min_size=1, max_size=3)
    if origin is dict:
        return st.dictionaries(texts, _of(inside[1], ""), min_size=1, max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Output):
        return any_of(annotation)
    if annotation is str:
        return times if name in TIMES else texts
    simple = {int: counts, float: numbers.filter(lambda value: isinstance(value, float)), bool: st.booleans()}
    return simple.get(annotation, texts if annotation is Any else st.none())


def any_of(model: type[Output]) -> st.SearchStrategy[Any]:
    """Instances of a model."""
    fields = {name: _of(field.annotation, name) for name, field in model.model_fields.items()}
    if model is models.Rule:
        rows = {**fields, **{name: st.none() for name in DETAILS}}
        full = {**fields, **{name: fields[name].filter(lambda value: value is not None) for name in DETAILS}}
        return st.one_of([st.builds(models.Rule, **each).map(consistent) for each in (rows, full)])
    return st.builds(model, **fields).map(consistent)


def consistent(output: Output) -> Output:
    """Without what no answer has: half a rule in full, lists longer than their totals."""
    match output:
        case models.Rule(for_=None):
            more = ("labels", "runbook_url", "created", "created_by", "updated", "updated_by", "version")
            return output.model_copy(update=dict.fromkeys(more))
        case models.RuleList():
            monitors = len(output.monitors or ()) if output.monitors_total else 0
            return output.model_copy(update={
                "total": len(output.rules) + output.total,
                "monitors": output.monitors if monitors else None,
                "monitors_total": monitors + 1 if monitors else None,
            })  # fmt: skip
        case models.Monitor():
            return output.model_copy(update={"fields_total": len(output.fields) + output.fields_total})
        case models.AlertList():
            return output.model_copy(update={"total": len(output.alerts) + output.total})
        case models.CreatedRule() if output.matches_total is None:
            return output.model_copy(update={"matches": None})
        case models.Explanation():
            return output.model_copy(update={"rule_id": None} if output.alert_id else {"rule_id": "rule_x"})
        case Backtest():
            return output.model_copy(update={"alerts": len(output.intervals) + output.alerts})
        case Curve():
            return output.model_copy(update={"values": [*output.values, None]})
    return output


def another(value: Any) -> Any:
    """A value of the same kind that says something else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return -value if value else 1.0
    try:
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return f"{value}x"
    return (moment - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def changed_once(node: Any) -> list[Any]:
    """All that differ from a structured answer in one fact."""
    if isinstance(node, dict):
        return [{**node, key: other} for key, value in node.items() for other in changed_once(value)]
    if isinstance(node, list):
        return [[*node[:n], other, *node[n + 1 :]] for n, value in enumerate(node) for other in changed_once(value)]
    return [] if node is None else [another(node)]
