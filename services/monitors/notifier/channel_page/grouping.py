"""How a channel groups, as a person enters it; what is left as it is, is as usual for the kind."""

from collections.abc import Mapping

from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.mesh.quantities import read_duration
from monitors.mesh.times import to_duration
from monitors.notifier.kinds import Input
from monitors.v1 import notification_pb2 as pb

PREFIX = "grouping"
BY, HOLD_URGENT = f"{PREFIX}.by", f"{PREFIX}.hold_urgent"
CHOICES = {
    "": ("As usual", "By rule where people read it; each alert alone where a program does.", pb.GROUP_BY_UNSPECIFIED),
    "alone": ("Each alone", "Every alert at once, in a message of its own.", pb.GROUP_BY_ALONE),
    "rule": ("By rule", "Alerts of one rule together.", pb.GROUP_BY_RULE),
    "monitor": ("By monitor", "Alerts of one monitor together.", pb.GROUP_BY_MONITOR),
    "labels": ("By labels", "Alerts together whose labels or tags named below are the same.", pb.GROUP_BY_LABELS),
}
INPUTS = (
    Input("labels", "Labels", "Only by labels: their names, between commas, such as team."),
    Input("wait", "Wait for more", "After the first message of a group: 10s unless you say otherwise, at most 10m."),
    Input("interval", "Then tell every", "What has come since, together: 1m unless you say otherwise, 1s to 24h."),
    Input("digest_above", "Digest above", "With more alerts a minute, one summary a minute; 0 is never."),
)
NAMES = frozenset({BY, HOLD_URGENT, *(f"{PREFIX}.{entry.field}" for entry in INPUTS)})
MOST_DIGITS = 9


def to_grouping(values: Mapping[str, str]) -> pb.Grouping | None:
    """What was entered; None if nothing was. Raises InvalidField and InvalidFields."""
    entered = {name.removeprefix(f"{PREFIX}."): value for name, value in values.items() if name in NAMES and value}
    if not entered:
        return None
    errors: list[InvalidField] = []
    grouping = pb.Grouping(hold_urgent="hold_urgent" in entered)
    if "by" in entered and entered["by"] not in CHOICES:
        errors.append(InvalidField(f"channel.{BY}", f"{entered['by'][:40]!r} isn't one of the choices; choose one"))
    else:
        grouping.by = CHOICES[entered.get("by", "")][2]
    grouping.labels.extend(part.strip() for part in entered.get("labels", "").split(",") if part.strip())
    if grouping.labels and not grouping.by:
        grouping.by = pb.GROUP_BY_LABELS
    for field, target in (("wait", grouping.wait), ("interval", grouping.interval)):
        if field in entered:
            try:
                target.CopyFrom(to_duration(read_duration(entered[field])))
            except ValueError:
                errors.append(_not_read(field, entered[field], "a duration such as 10s, 5m or 1h"))
    if "digest_above" in entered:
        number = entered["digest_above"]
        if number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS:
            grouping.digest_above = int(number)
        else:
            errors.append(_not_read("digest_above", number, "a whole number such as 20, or 0 for never"))
    if errors:
        raise InvalidFields.of(errors)
    return grouping


def _not_read(field: str, text: str, form: str) -> InvalidField:
    return InvalidField(f"channel.{PREFIX}.{field}", f"{text[:40]!r} can't be read; enter {form}")
