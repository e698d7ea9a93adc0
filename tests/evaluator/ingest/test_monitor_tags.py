"""What lines call their monitors is remembered, so that they can be written on as they came."""

import pytest

from monitors.evaluator import monitor_tags
from monitors.evaluator.lines import parse_head
from monitors.evaluator.model.series import SeriesKey
from monitors.evaluator.monitor_tags import MonitorTags


def key(text: str, tenant: str = "t") -> SeriesKey:
    head = parse_head(text)
    return SeriesKey(tenant, head.monitor, head.measurement, "f", head.tags)


def learned(*heads: str) -> MonitorTags:
    tags = MonitorTags()
    for text in heads:
        tags.learn("t", parse_head(text))
    return tags


@pytest.mark.parametrize(
    ("head", "tag"), [("cpu,host=a", "host"), ("cpu", ""), ("cpu,monitor_id=a", "monitor_id"), ("m,host=b,x=y", "host")]
)
def test_a_series_is_named_as_it_came(head: str, tag: str) -> None:
    assert learned(head).of(key(head)) == tag


def test_what_nobody_has_seen_is_named_as_usual() -> None:
    tags = learned("cpu,host=a")
    assert tags.of(key("mem,host=a")) == "monitor_id"
    assert tags.of(key("cpu,host=a", tenant="u")) == "monitor_id"


def test_a_series_with_a_host_of_its_own_is_named_by_the_other_tag() -> None:
    assert learned("cpu,host=a").of(key("cpu,host=b,monitor_id=a")) == "monitor_id"


def test_the_last_way_counts() -> None:
    assert learned("cpu,host=a", "cpu,monitor_id=a").of(key("cpu,host=a")) == "monitor_id"


def test_one_tenants_many_names_leave_room_for_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_tags, "MOST_OF_TENANT", 2)
    tags = learned("cpu,host=a", "cpu,host=b", "cpu,host=c")
    tags.learn("u", parse_head("cpu,host=c"))
    assert [tags.of(key("cpu,host=c", tenant)) for tenant in ("t", "u")] == ["monitor_id", "host"]
