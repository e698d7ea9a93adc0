"""What the tools answer, as structured data. Each answer is complete without its text. Times are RFC 3339 in UTC."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Output(BaseModel):
    """What isn't set is left out."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    def structured(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Rule(Output):
    """A rule. A concise row ends with `levels`."""

    id: str
    title: str
    monitor: str
    condition: str
    severity: str
    state: str
    """firing, idle, disabled or snoozed"""
    open_alerts: int | None = None
    levels: dict[str, str] | None = None
    """Further severities with their bounds."""
    for_: str | None = Field(default=None, alias="for")
    cooldown: str | None = None
    interval: str | None = None
    no_data: str | None = None
    notify: list[str] | None = None
    """Channel names; an empty list stands for the default channels."""
    labels: dict[str, str] | None = None
    runbook_url: str | None = None
    enabled: bool | None = None
    snoozed_until: str | None = None
    created: str | None = None
    created_by: str | None = None
    updated: str | None = None
    updated_by: str | None = None
    version: str | None = None


class MonitorField(Output):
    """A field of a monitor."""

    name: str
    type: str
    series: int | None = None
    last_value: float | str | None = None
    last_time: str | None = None


class Monitor(Output):
    """Something that can be watched."""

    id: str
    fields: list[MonitorField]
    fields_total: int | None = None
    last_time: str | None = None
    rules: int | None = None


class Series(Output):
    """A series that a rule's condition reads now."""

    monitor: str
    field: str
    tags: dict[str, str] | None = None
    last_value: float | str | None = None
    last_time: str | None = None


class FiringInterval(Output):
    """A time in which a rule would have fired; `ended` is left out while it still would."""

    monitor: str
    group: dict[str, str] | None = None
    fired: str
    ended: str | None = None
    value: float | None = None


class ThresholdSuggestion(Output):
    """A threshold, and about how many alerts a day it would have given."""

    threshold: float
    alerts_per_day: float


class Backtest(Output):
    """What a rule would have done."""

    window: str
    alerts: int
    alerts_per_day: float
    firing_total: str
    firing_longest: str
    value_now: float | None = None
    intervals: list[FiringInterval]
    """The latest ones, oldest first."""
    suggestions: list[ThresholdSuggestion] | None = None
    warnings: list[str] | None = None


class CreatedRule(Output):
    """The answer of create_alert_rule."""

    saved: bool
    """False for a dry run, and if an equal rule was there already."""
    rule: Rule
    meaning: str | None = None
    warnings: list[str] | None = None
    matches: list[Series] | None = None
    matches_total: int | None = None
    """How many there are, if they aren't all in `matches`; 100 stands for 100 or more."""
    backtest: Backtest | None = None
    note: str | None = None


class RuleList(Output):
    """The answer of list_alert_rules."""

    rules: list[Rule]
    total: int
    next_cursor: str | None = None
    note: str | None = None
    monitors: list[Monitor] | None = None
    monitors_total: int | None = None


class Change(Output):
    """A parameter that an update changes."""

    parameter: str
    before: str | bool | list[str] | dict[str, str] | None = None
    after: str | bool | list[str] | dict[str, str] | None = None


class UpdatedRule(Output):
    """The answer of update_alert_rule."""

    saved: bool
    changes: list[Change]
    rule: Rule
    meaning: str | None = None
    warnings: list[str] | None = None
    note: str | None = None


class DeletedRule(Output):
    """The answer of delete_alert_rule."""

    deleted: bool
    rule: Rule
    resolved_alerts: int | None = None
    restore: dict[str, Any] | None = None
    """Arguments with which create_alert_rule makes it again."""
    note: str | None = None


class Alert(Output):
    """An alert. A concise row ends with `condition`, which is shortened there."""

    id: str
    rule_id: str
    title: str
    monitor: str
    severity: str
    state: str
    """firing or resolved"""
    fired: str
    value: float | None = None
    group: dict[str, str] | None = None
    resolved: str | None = None
    acknowledged_by: str | None = None
    condition: str | None = None
    acknowledged: str | None = None
    acknowledge_note: str | None = None
    true_since: str | None = None
    resolve_reason: str | None = None
    message_held: str | None = None
    """Why nobody was told yet: cooldown or snoozed"""
    labels: dict[str, str] | None = None
    runbook_url: str | None = None


class Event(Output):
    """Something that happened to an alert."""

    time: str
    kind: str
    value: float | None = None
    user: str | None = None
    detail: str | None = None


class Delivery(Output):
    """A message about an alert."""

    channel: str
    kind: str
    state: str
    attempts: int
    time: str | None = None
    detail: str | None = None


class Instance(Output):
    """Where a rule stands for one group of series."""

    monitor: str
    group: dict[str, str] | None = None
    state: str
    value: float | None = None
    evaluated: str | None = None
    since: str | None = None
    text: str | None = None


class Explanation(Output):
    """Why an alert is as it is."""

    alert_id: str | None = None
    rule_id: str | None = None
    instances: list[Instance] | None = None
    timeline: list[Event] | None = None
    deliveries: list[Delivery] | None = None


class AlertList(Output):
    """The answer of list_alerts."""

    alerts: list[Alert]
    total: int
    next_cursor: str | None = None
    note: str | None = None
    explanations: list[Explanation] | None = None


class Acknowledged(Output):
    """The answer of acknowledge_alert."""

    alerts: list[Alert]
    acknowledged: list[str]
    """The ids that this call acknowledged."""
    already_acknowledged: list[str] | None = None
