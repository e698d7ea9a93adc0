"""What the tools answer, as structured data. Each answer is complete without its text. Times are RFC 3339 in UTC."""

from typing import Any, ClassVar

from pydantic import Field

from monitors.bridge.backtest_models import Backtest, Series
from monitors.bridge.output import Answer, Output, Page, Value


class Rule(Output):
    """A rule. A concise row ends with `levels`."""

    id: str | None = None
    """Left out of a rule that isn't saved."""
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
    last_value: Value | None = None
    last_time: str | None = None
    """Left out if it's the monitor's."""


class Monitor(Output):
    """Something that can be watched."""

    id: str
    fields: list[MonitorField]
    fields_total: int
    last_time: str | None = None
    rules: int | None = None


class CreatedRule(Answer):
    """The answer of create_alert_rule."""

    narrower: ClassVar[str] = "A filter on a tag in the condition narrows what it reads."

    saved: bool
    """False for a dry run, and if an equal rule was there already."""
    rule: Rule
    meaning: str | None = None
    warnings: list[str] | None = None
    matches: list[Series] | None = None
    matches_total: int | None = None
    """How many there are; 100 stands for 100 or more."""
    backtest: Backtest | None = None


class RuleList(Page):
    """The answer of list_alert_rules."""

    kept: ClassVar[tuple[str, ...]] = ("rules",)
    narrower: ClassVar[str] = "Part of an id as monitor shows others."

    rules: list[Rule]
    total: int
    next_cursor: str | None = None
    monitors: list[Monitor] | None = None
    monitors_total: int | None = None


class Change(Output):
    """A parameter that an update changes."""

    parameter: str
    before: str | bool | list[str] | dict[str, str] | None = None
    after: str | bool | list[str] | dict[str, str] | None = None


class UpdatedRule(Answer):
    """The answer of update_alert_rule."""

    saved: bool
    changes: list[Change]
    rule: Rule
    meaning: str | None = None
    warnings: list[str] | None = None
    backtest: Backtest | None = None
    """What the changed rule would have done, in a dry run."""


class DeletedRule(Answer):
    """The answer of delete_alert_rule."""

    kept_longest: ClassVar[tuple[str, ...]] = ("restore",)

    deleted: bool
    rule: Rule
    resolved_alerts: int | None = None
    restore: dict[str, Any] | None = None
    """Arguments with which create_alert_rule makes it again."""


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
    value: Value | None = None
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
    value: Value | None = None
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
    value: Value | None = None
    evaluated: str | None = None
    since: str | None = None
    text: str | None = None


class Explanation(Output):
    """Why an alert is as it is."""

    oldest_first: ClassVar[tuple[str, ...]] = ("timeline", "deliveries")

    alert_id: str | None = None
    rule_id: str | None = None
    instances: list[Instance] | None = None
    timeline: list[Event] | None = None
    """Oldest first."""
    earlier_events: int | None = None
    """How many there were before."""
    deliveries: list[Delivery] | None = None
    """Oldest first."""
    earlier_deliveries: int | None = None


class AlertList(Page):
    """The answer of list_alerts."""

    kept: ClassVar[tuple[str, ...]] = ("alerts",)
    narrower: ClassVar[str] = "alert_id explains one alert alone."

    alerts: list[Alert]
    total: int
    total_is_capped: bool | None = None
    """Whether there are more than `total`: no more are counted."""
    next_cursor: str | None = None
    explanations: list[Explanation] | None = None


class Acknowledged(Answer):
    """The answer of acknowledge_alert."""

    kept: ClassVar[tuple[str, ...]] = ("acknowledged", "already_acknowledged")
    narrower: ClassVar[str] = "list_alerts with alert_id shows each."

    alerts: list[Alert]
    acknowledged: list[str]
    """The ids that this call acknowledged."""
    already_acknowledged: list[str] | None = None
