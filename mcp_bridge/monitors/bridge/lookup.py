"""Finds what a caller names: a rule by id or title, the monitors that can be watched; and words a filter."""

from difflib import SequenceMatcher, get_close_matches
from fnmatch import fnmatchcase

from monitors.bridge.client import Caller
from monitors.bridge.convert import clean, monitor_row
from monitors.bridge.errors import BridgeError
from monitors.bridge.phrases import named
from monitors.bridge.render import monitor_line
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

_PAGE = 50
_MONITORS_CONSIDERED = _RULES_CONSIDERED = 200
_FIELDS_IN_ERROR = 6
_RULES_IN_ERROR = 3
_NAME_IN_ERROR = 50
# An error is read in one go: the monitors that are called most alike, in so many bytes.
_LISTED_IN_ERROR = 300
_SHOWN_BY = "list_alert_rules with include='monitors' shows what can be watched."


async def find_rule(caller: Caller, rule_id: str | None, title: str | None) -> rule_pb2.Rule:
    """The rule of an id or of an exact title; of both, if they are the same rule's. Raises BridgeError, which lists the
    candidates."""
    if rule_id:
        response = await caller.read(caller.stub.GetRule, pb.GetRuleRequest(rule_id=rule_id))
        if title and not _same(response.rule.title, title):
            known, said = (repr(clean(one, _NAME_IN_ERROR)) for one in (response.rule.title, title))
            raise BridgeError(
                f"title: {response.rule.id} is called {known}, not {said}; title says which rule is meant, so leave it "
                "out beside rule_id. update_alert_rule renames with new_title."
            )
        return response.rule
    if not title:
        raise BridgeError("rule_id or title: give one of them to say which rule; list_alert_rules shows both.")
    similar = await rules_with_title(caller, title)
    exact = [rule for rule in similar if _same(rule.title, title)]
    if len(exact) == 1:
        return exact[0]
    if not similar:
        similar = await _rules_spelled_alike(caller, title)
    listed = "; ".join(
        f"{rule.id} {clean(rule.title, _NAME_IN_ERROR)!r} on {named(clean(rule.monitor_id, _NAME_IN_ERROR))}"
        for rule in (exact or similar)[:_RULES_IN_ERROR]
    )
    shown = repr(clean(title, _NAME_IN_ERROR))
    if exact:
        raise BridgeError(f"title: {len(exact)} rules are called {shown}: {listed}. Give the rule_id.")
    hint = f"Similar ones: {listed}." if similar else "list_alert_rules shows those that exist."
    raise BridgeError(f"title: no rule is called {shown}. {hint}")


async def _rules_spelled_alike(caller: Caller, title: str) -> list[rule_pb2.Rule]:
    """Of the newest rules those whose titles are nearly `title`, the likest first."""
    response = await caller.read(caller.stub.ListRules, pb.ListRulesRequest(page_size=_RULES_CONSIDERED))
    titles = {rule.id: rule.title.casefold() for rule in response.rules}
    likest = get_close_matches(title.strip().casefold(), set(titles.values()), n=_RULES_IN_ERROR)
    return sorted(
        (rule for rule in response.rules if titles[rule.id] in likest), key=lambda rule: likest.index(titles[rule.id])
    )


async def rules_with_title(caller: Caller, title: str, monitor: str = "") -> list[rule_pb2.Rule]:
    """At most 50 rules whose title contains `title`, on one monitor if it's given."""
    terms = [filter_term("title", title)]
    if monitor:
        terms.append(filter_term("monitor_id", monitor))
    request = pb.ListRulesRequest(page_size=_PAGE, filter=" AND ".join(terms))
    response = await caller.read(caller.stub.ListRules, request)
    return list(response.rules)


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def filter_term(name: str, value: str) -> str:
    """A term of a filter. Quotation marks and backslashes of the value are escaped."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


async def check_monitor(caller: Caller, monitor: str | None, now: int) -> None:
    """Raises BridgeError, which lists what can be watched, unless `monitor` is known or a pattern of known ones."""
    if monitor and await _is_known(caller, monitor):
        return
    response = await caller.read(caller.stub.ListMonitors, pb.ListMonitorsRequest(page_size=_MONITORS_CONSIDERED))
    raise BridgeError(f"{_reason(monitor)} {_what_can_be_watched(response, monitor or '', now)}")


async def unknown_monitor(caller: Caller, monitor: str | None) -> str | None:
    """A note for an answer that is empty because nothing is called like that; None if something is."""
    if not monitor or await _is_known(caller, monitor):
        return None
    return f"Nothing called {clean(monitor, 60)!r} has ever reported. {_SHOWN_BY}"


async def _is_known(caller: Caller, monitor: str) -> bool:
    if "*" not in monitor:
        request = pb.ListMonitorsRequest(page_size=_PAGE, query=monitor)
        response = await caller.read(caller.stub.ListMonitors, request)
        # With more matches than a page holds the id may lie behind it; RuleService will know.
        return any(known.id == monitor for known in response.monitors) or bool(response.next_page_token)
    request = pb.ListMonitorsRequest(page_size=1_000, query=max(monitor.split("*"), key=len))
    response = await caller.read(caller.stub.ListMonitors, request)
    pattern = monitor.replace("[", "[[]").replace("?", "[?]")
    return any(fnmatchcase(known.id, pattern) for known in response.monitors) or bool(response.next_page_token)


def _reason(monitor: str | None) -> str:
    if not monitor:
        return "monitor: say which monitor to watch."
    return f"monitor: nothing called {clean(monitor, 60)!r} has ever reported."


def _what_can_be_watched(response: pb.ListMonitorsResponse, wanted: str, now: int) -> str:
    if not response.monitors:
        return "Nothing reports measurements yet: write points to the mesh's ingest endpoint first."
    likest = sorted(response.monitors, key=lambda known: -SequenceMatcher(None, wanted, known.id).ratio())
    lines: list[str] = []
    for monitor in likest:
        line = monitor_line(monitor_row(monitor, _FIELDS_IN_ERROR), now)
        if sum(len(one.encode()) for one in [*lines, line]) <= _LISTED_IN_ERROR:
            lines.append(line)
    more = response.total_count - len(lines)
    rest = [f"{more} more: list_alert_rules with include='monitors' shows them."] if more > 0 else []
    return "\n".join(["These can be watched:", *lines, *rest, ""])
