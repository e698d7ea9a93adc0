"""Many changes at once, all or none; and the keys of rules that are kept in files."""

import threading
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.mesh.times import to_duration
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import SECOND, Client


def creation(**fields: Any) -> pb.RuleChange:
    given = {"monitor_id": "mon_host", "title": "CPU", "condition_text": "cpu_percent > 90"} | fields
    return pb.RuleChange(create=pb.CreateRuleRequest(rule=rule_pb2.Rule(**given)))


def change(rule_id: str, **fields: Any) -> pb.RuleChange:
    mask = FieldMask(paths=[name for name in fields if name != "etag"])
    return pb.RuleChange(update=pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule_id, **fields), update_mask=mask))


def deletion(rule_id: str, etag: str = "") -> pb.RuleChange:
    return pb.RuleChange(delete=pb.DeleteRuleRequest(rule_id=rule_id, etag=etag))


def together(*changes: pb.RuleChange, validate_only: bool = False, request_id: str = "") -> pb.BatchChangeRulesRequest:
    return pb.BatchChangeRulesRequest(changes=changes, validate_only=validate_only, request_id=request_id)


def titles(client: Client) -> list[str]:
    return sorted(rule.title for rule in client.call(pb.ListRulesRequest()).rules)


def test_rules_are_made_changed_and_deleted_together(client: Client) -> None:
    old, gone = client.create(title="old"), client.create(title="gone")
    made, updated, deleted = client.call(
        together(creation(title="new", key="web/new"), change(old.id, title="renamed"), deletion(gone.id))
    ).results
    assert (made.rule.title, made.rule.key, made.HasField("previous")) == ("new", "web/new", False)
    assert (updated.previous.title, updated.rule.title, updated.rule.id) == ("old", "renamed", old.id)
    assert (deleted.previous.title, deleted.HasField("rule")) == ("gone", False)
    assert titles(client) == ["new", "renamed"]


def test_whose_answer_is_too_long_to_be_sent_is_undone_and_says_so(client: Client) -> None:
    rule = client.create(title="old", annotations={f"a{number}": "x" * 1000 for number in range(30)})
    refused = client.refused(together(*(change(rule.id, title=f"{number}") for number in range(100)), request_id="r"))
    assert (refused.code, refused.metadata["field"]) == ("INVALID_ARGUMENT", "changes")
    assert "the answer would have more than 4 MB; nothing was changed" in refused.message
    assert titles(client) == ["old"]
    assert client.call(together(change(rule.id, title="new"), request_id="r")).results[0].rule.title == "new"


def test_one_that_is_refused_leaves_all_undone(client: Client) -> None:
    old = client.create(title="old")
    refused = client.refused(
        together(creation(), change(old.id, title="x"), creation(title="", condition_text="cpu >"))
    )
    assert (refused.code, refused.message[:35]) == ("INVALID_ARGUMENT", "changes[2]: rule.condition_text: ca")
    assert "rule.title: is empty" in refused.message
    assert titles(client) == ["old"]
    stale = client.refused(together(creation(), deletion(old.id, etag="7")))
    assert (stale.code, stale.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert titles(client) == ["old"]
    assert client.refused(together()).message.startswith("changes: there are 0; send 1 to 1,000")
    assert "set one of create, update and delete" in client.refused(together(pb.RuleChange())).message


def test_what_changes_would_do_is_told_without_doing_it(client: Client) -> None:
    old = client.create(title="old")
    wishes = (
        creation(condition_text="cpu_percent is above 90 for 2 minutes"),
        change(old.id, title="x"),
        deletion(old.id),
    )
    request = together(*wishes, validate_only=True, request_id="one")
    made, updated, deleted = client.call(request).results
    assert (made.rule.condition_text, made.rule.id) == ("cpu_percent > 90 for 2m", "")
    assert (updated.previous.title, updated.rule.title) == ("old", "x")
    assert deleted.previous.title == "x"
    assert titles(client) == ["old"]
    assert client.get(old.id) == old


def test_all_problems_of_all_changes_are_told_at_once(client: Client) -> None:
    wishes = [
        creation(title="", cooldown=to_duration(-1)), creation(group_by=["cpu", "cpu"]), change("rule_none", title="x"),
        creation(key="web/a"), creation(key="web/a"), pb.RuleChange(), change("", title="x"),
    ]  # fmt: skip
    results = client.call(together(*wishes, validate_only=True)).results
    assert [[problem.field for problem in result.problems] for result in results] == [
        ["rule.title", "rule.cooldown"], ["rule.group_by"], [""], [], [""], ["change"], ["rule_id"],
    ]  # fmt: skip
    told = [problem.description for result in results for problem in result.problems]
    assert "a tag is named twice" in told[2]
    assert "there is a rule with the key 'web/a' already" in told[4]
    assert not any(result.HasField("rule") for result in results if result.problems)


def test_a_repeat_of_the_same_request_changes_nothing(client: Client) -> None:
    request = together(creation(), request_id="again")
    assert client.call(request) == client.call(request)
    assert titles(client) == ["CPU"]


def test_no_two_rules_have_the_same_key(client: Client) -> None:
    first = client.create(key="web/cpu")
    for request in (
        creation(key="web/cpu").create,
        change(client.create(title="x").id, key="web/cpu").update,
        pb.BatchCreateRulesRequest(rules=[creation(key="web/cpu").create.rule]),
        pb.BatchCreateRulesRequest(rules=[creation(key="web/b").create.rule] * 2),
    ):
        refused = client.refused(request)
        assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
    # Its own key is no twin, and a key is free once nobody has it.
    client.call(change(first.id, key="web/cpu", title="y").update)
    client.call(change(first.id, key="").update)
    second = client.create(key="web/cpu")
    client.call(deletion(second.id).delete)
    assert client.create(key="web/cpu").key == "web/cpu"


@pytest.mark.parametrize("key", ["Web", "web/", "/web", "web//a", "a b", "-a", "ü", "a" * 129, "a\n"])
def test_a_key_is_of_plain_characters(client: Client, key: str) -> None:
    refused = client.refused(creation(key=key).create)
    assert refused.message.startswith("rule.key: ")
    assert "such as `web/cpu-is-hot`" in refused.message


def test_rules_are_found_by_their_keys(client: Client) -> None:
    for key in ("web/a", "web/b", "web_/a", "webshop", ""):
        client.create(title=key or "none", key=key)

    def found(term: str) -> list[str]:
        return sorted(rule.key for rule in client.call(pb.ListRulesRequest(filter=f"key={term}")).rules)

    assert found("web/*") == ["web/a", "web/b"]
    assert found("web/a") == ["web/a"]
    assert found('""') == [""]
    assert found("*") == ["web/a", "web/b", "web_/a", "webshop"]


def test_of_two_who_make_the_same_key_at_once_one_is_refused(client: Client) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        try:
            client.call(together(creation(key="web/twin"), creation()))
            outcomes.append("made")
        except grpc.RpcError as error:
            outcomes.append(error.code().name)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ALREADY_EXISTS"] * 7 + ["made"]
    assert titles(client) == ["CPU", "CPU"]


def test_a_text_that_is_sent_back_keeps_what_it_says_of_how_long(client: Client) -> None:
    rule = client.create("cpu_percent > 90 for 2m")
    text = {"condition_text": rule.condition_text}
    mask = FieldMask(paths=["condition_text", "for_duration", "title"])

    def updated(**fields: Any) -> rule_pb2.Rule:
        sent = rule_pb2.Rule(id=rule.id, title="new", **{**text, **fields})
        answer: rule_pb2.Rule = client.call(pb.UpdateRuleRequest(rule=sent, update_mask=mask)).rule
        return answer

    assert updated().condition_text == "cpu_percent > 90 for 2m"
    assert updated(for_duration=to_duration(300 * SECOND)).condition_text == "cpu_percent > 90 for 5m"
    assert updated(condition_text="cpu_percent > 90").condition_text == "cpu_percent > 90"
