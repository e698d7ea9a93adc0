"""What a tier allows of rules: how many, and how often they're evaluated."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.mesh.times import now_nanos, to_timestamp
from monitors.rules.service import monitors
from monitors.v1 import monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FLOAT, SERVICE, Client
from tests.rules.running import Running, running
from tests.servers.backends import server_database_url

MOST = 3
TIERS = Tiers(
    changed_quotas([f"free.rules={MOST}", "free.interval=30", "free.requests=0", "free.keys=2", "pro.rules=1000"])
)


@pytest.fixture(scope="module")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with loop_thread.opened(running(tmp_path_factory.mktemp("rules"), quotas=TIERS)) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(service: Running) -> Iterator[RuleServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield RuleServiceStub(channel)


@pytest.fixture
def client(stub: RuleServiceStub, service: Running, loop_thread: LoopThread) -> Client:
    """A client of a new tenant of the tier `free`."""
    return in_tier(Client.of_new_tenant(stub, service.rules, loop_thread), "free")


def in_tier(client: Client, tier: str) -> Client:
    """The same tenant in another tier, with a key that nobody knows from before."""
    key = client.loop.run(client.rules.add_tenant(client.tenant, tier))
    return Client(client.stub, client.tenant, key, client.rules, client.loop)


def drafts(count: int, **fields: object) -> list[rule_pb2.Rule]:
    given = {"monitor_id": "mon_host", "condition_text": "cpu_percent > 1"} | fields
    return [rule_pb2.Rule(title=f"rule {number}", **given) for number in range(count)]  # type: ignore[arg-type]


def count(client: Client) -> int:
    return int(client.call(pb.ListRulesRequest()).total_count)


def test_a_rule_too_many_is_refused_until_one_is_deleted_or_the_tier_is_higher(client: Client) -> None:
    made = [client.create(title=f"{number}") for number in range(MOST)]
    error = client.refused(pb.CreateRuleRequest(rule=drafts(1)[0]))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert error.metadata == {"quota": "rules", "limit": "3", "tier": "free"}
    assert "there are 3 rules already, and the tier 'free' allows 3; delete" in error.message
    assert client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=made[0].id, title="new"))).rule.title == "new"
    client.call(pb.DeleteRuleRequest(rule_id=made[0].id))
    client.create(title="in its place")
    assert client.refused(pb.CreateRuleRequest(rule=drafts(1)[0])).code == "RESOURCE_EXHAUSTED"
    in_tier(client, "pro").create(title="one more")
    assert count(client) == MOST + 1


def test_monitors_cannot_be_made_known_without_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of new tenants one monitor with four fields is known.
    monkeypatch.setattr(monitors, "MOST_KNOWN", 7)
    field = monitor_pb2.MonitorField(measurement="m", field="f", type=FLOAT)
    room = pb.RegisterMonitorRequest(monitor_id="first", fields=[field])
    client.call(room)
    more = pb.RegisterMonitorRequest(monitor_id="second")
    error = client.refused(more)
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert error.metadata == {"quota": "monitors", "limit": "7", "tier": "free"}
    assert [each.id for each in client.call(pb.ListMonitorsRequest()).monitors] == ["first", "mon_host"]
    # What is known may be said again, and whoever runs the mesh needs no protection from themselves.
    assert client.call(room).monitor.id == "first"
    assert in_tier(client, "unlimited").call(more).monitor.id == "second"


def test_keys_cannot_be_made_without_end(client: Client) -> None:
    # The one that the tenant began with, and that of the tier.
    error = client.refused(pb.CreateKeyRequest(title="one more"))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert error.metadata == {"quota": "keys", "limit": "2", "tier": "free"}
    assert "there are 2 API keys already, and the tier 'free' allows 2; revoke" in error.message
    oldest = client.call(pb.ListKeysRequest()).keys[-1]
    client.call(pb.RevokeKeyRequest(key_id=oldest.id))
    soon = to_timestamp(now_nanos() + 60 * 10**9)
    client.call(pb.CreateKeyRequest(title="in its place", expire_time=soon))
    assert client.refused(pb.CreateKeyRequest(title="one more")).reason == "QUOTA_EXCEEDED"


def test_whoever_runs_the_mesh_makes_keys_beyond_a_tenants_number(client: Client) -> None:
    request = pb.CreateKeyRequest(title="one more", tenant_id=client.tenant)
    for _ in range(3):
        client.stub.CreateKey(request, metadata=SERVICE)


def test_many_at_once_are_all_or_none(client: Client) -> None:
    client.create()
    error = client.refused(pb.BatchCreateRulesRequest(rules=drafts(MOST)))
    assert "1 rules already, and 3 more were asked for" in error.message
    assert count(client) == 1
    assert len(client.call(pb.BatchCreateRulesRequest(rules=drafts(MOST - 1))).rules) == MOST - 1


def test_a_file_of_changes_may_delete_first_what_it_needs_room_for(client: Client) -> None:
    made = client.call(pb.BatchCreateRulesRequest(rules=drafts(MOST))).rules
    create = pb.RuleChange(create=pb.CreateRuleRequest(rule=drafts(1)[0]))
    delete = pb.RuleChange(delete=pb.DeleteRuleRequest(rule_id=made[0].id))
    error = client.refused(pb.BatchChangeRulesRequest(changes=[create, delete]))
    assert (error.code, error.message.partition(":")[0]) == ("RESOURCE_EXHAUSTED", "changes[0]")
    tried = client.call(pb.BatchChangeRulesRequest(changes=[create], validate_only=True))
    assert "allows 3" in tried.results[0].problems[0].description
    assert len(client.call(pb.BatchChangeRulesRequest(changes=[delete, create])).results) == 2
    assert count(client) == MOST


def test_a_repeat_of_what_was_made_is_answered_though_all_is_used_up(client: Client) -> None:
    requests = [pb.CreateRuleRequest(rule=rule, request_id=rule.title) for rule in drafts(MOST)]
    first = [client.call(request) for request in requests]
    assert [client.call(request) for request in requests] == first


def test_an_interval_that_is_too_short_for_the_tier_is_refused(client: Client) -> None:
    short = drafts(1, interval=Duration(seconds=29))[0]
    preview = pb.PreviewRuleRequest(rule=short)
    batch = pb.BatchCreateRulesRequest(rules=[*drafts(1), short])
    for request in (pb.CreateRuleRequest(rule=short), preview, batch):
        error = client.refused(request)
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
        assert error.metadata == {"quota": "interval", "limit": "30s", "tier": "free"}
        assert "rule.interval: 29s is shorter than the tier 'free' allows; send 30s or more" in error.message
    assert client.refused(batch).message.startswith("rules[1]: ")
    rule = client.create(interval=Duration(seconds=30))
    update = pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, interval=Duration(seconds=10)))
    assert client.refused(update).metadata["quota"] == "interval"


def test_what_a_higher_tier_allowed_stays_and_can_be_turned_off(client: Client) -> None:
    rule = in_tier(client, "pro").create(interval=Duration(seconds=10))
    lower = in_tier(client, "free")
    off = pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, enabled=False), update_mask=FieldMask(paths=["enabled"]))
    assert lower.call(off).rule.interval.seconds == 10
    assert lower.refused(
        pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, interval=Duration(seconds=11)))
    ).metadata["quota"] == "interval"  # fmt: skip
    assert lower.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, interval=Duration(seconds=60)))).rule


def test_a_preview_says_that_a_rule_cant_be_made(client: Client) -> None:
    preview = pb.PreviewRuleRequest(rule=drafts(1)[0])
    assert not any("can't be made" in warning for warning in client.call(preview).warnings)
    made = client.call(pb.BatchCreateRulesRequest(rules=drafts(MOST))).rules
    assert "it can't be made: there are 3 rules, all that your tier allows" in client.call(preview).warnings
    changed = pb.PreviewRuleRequest(rule=rule_pb2.Rule(id=made[0].id, title="new"))
    assert not any("can't be made" in warning for warning in client.call(changed).warnings)


@pytest.mark.parametrize("where", ["embedded", "mariadb"])
def test_of_many_who_make_rules_at_once_no_more_succeed_than_there_is_room_for(
    loop_thread: LoopThread, tmp_path: Path, where: str
) -> None:
    url = server_database_url(tmp_path / "rules.db") if where == "mariadb" else ""
    with (
        loop_thread.opened(running(tmp_path, url=url, quotas=TIERS)) as one,
        grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel,
        ThreadPoolExecutor(8) as pool,
    ):
        client = in_tier(Client.of_new_tenant(RuleServiceStub(channel), one.rules, loop_thread), "free")

        def made(rule: rule_pb2.Rule) -> bool:
            call = client.stub.CreateRule.future(pb.CreateRuleRequest(rule=rule), metadata=client.metadata)
            assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED), call.details()
            return call.code() is grpc.StatusCode.OK

        assert sum(pool.map(made, drafts(24))) == MOST
        assert count(client) == MOST
