"""`monitors channels`, `deliveries` and `keys`."""

import pytest

from monitors.cli.failures import ExitCode
from monitors.mesh.times import DAY, from_timestamp, now_nanos, to_timestamp
from monitors.v1.alert_pb2 import AlertEventKind, DeliveryState
from monitors.v1.notification_pb2 import Delivery, DeliveryOutcome, GroupBy
from tests.cli.conftest import Command
from tests.cli.memory_mesh import NOON, MemoryMesh


def test_a_webhooks_secret_is_printed_once(mesh: MemoryMesh, monitors: Command) -> None:
    outcome = monitors("channels", "create", "ops", "--webhook", "http://127.0.0.1:9000/hook", "--default")
    assert "Secret: whsec_made" in outcome.stdout
    assert "plain http" in outcome.stderr
    assert mesh.notifier.requests[-1].channel.is_default
    assert "whsec" not in monitors("channels", "list").stdout + monitors("channels", "list", "--json").stdout


def test_each_kind_of_channel_is_made_by_its_option(monitors: Command) -> None:
    webhook = (
        "channels",
        "create",
        "a",
        "--webhook",
        "https://a/h",
        "--secret",
        "whsec_own",
        "--no-resolved",
        "--json",
    )
    own = monitors(*webhook)
    assert own.document["webhook_secret"] == ""
    assert "whsec_own" not in own.stdout + own.stderr
    monitors("channels", "create", "b", "--email", "x@example.org", "--email", "y@example.org")
    monitors("channels", "create", "c", "--slack", "https://hooks.slack.com/services/T/B/secret")
    monitors("channels", "create", "d", "--console")
    monitors("channels", "create", "e", "--pagerduty", "secret", "--events-url", "https://e")
    monitors("channels", "create", "f", "--discord", "https://discord.com/api/webhooks/1/secret")
    monitors("channels", "create", "g", "--teams", "https://a.logic.azure.com/secret")
    monitors("channels", "create", "h", "--apprise", "ntfys://secret")
    channels = monitors("channels", "list", "--json").document["channels"]
    assert [(channel["name"], channel["kind"]) for channel in channels] == [
        ("a", "webhook"), ("b", "email"), ("c", "slack"), ("d", "console"), ("e", "pager_duty"),
        ("f", "discord"), ("g", "teams"), ("h", "apprise"),
    ]  # fmt: skip
    assert channels[0]["settings"] == {
        "url": "https://a/h",
        "secret_fingerprint": "0123abcd",
        "former_secret_fingerprint": "",
        "former_secret_expire_time": None,
    }
    assert [channel["send_resolved"] for channel in channels] == [False, *[True] * 7]
    assert channels[1]["settings"]["addresses"] == ["x@example.org", "y@example.org"]
    assert channels[1]["settings"]["waiting_addresses"] == []
    assert channels[4]["settings"] == {"fingerprint": "4567cdef", "events_url": "https://e"}
    text = monitors("channels", "list").stdout
    assert all(part in text for part in ("x@example.org", "…4567cdef", "the notifier's terminal"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--console", "--webhook", "https://a"),
        ("--email", "a@b", "--secret", "whsec_x"),
        ("--console", "--events-url", "https://e"),
    ],
)
def test_a_channel_has_exactly_one_kind(mesh: MemoryMesh, monitors: Command, arguments: tuple[str, ...]) -> None:
    assert monitors("channels", "create", "ops", *arguments, ok=False).code == ExitCode.USAGE
    assert mesh.notifier.requests == []


def test_what_a_channel_tells_together_is_set_changed_and_shown(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "a", "--email", "x@example.org", "--group-by", "monitor", "--group-wait", "5s")
    sent = mesh.notifier.requests[-1].channel.grouping
    assert (sent.by, sent.wait.seconds, sent.HasField("interval")) == (GroupBy.GROUP_BY_MONITOR, 5, False)
    outcome = monitors(
        "channels", "update", "a", "--group-label", "team", "--group-by", "labels", "--group-interval", "2m",
        "--digest-above", "50", "--no-resolved",
    )  # fmt: skip
    assert outcome.stdout == "Changed the channel a, which tells together: labels team, 5s then 2m, digest above 50\n"
    assert list(mesh.notifier.requests[-1].update_mask.paths) == ["send_resolved", "grouping"]
    assert "labels team, 5s then 2m, digest above 50" in monitors("channels", "show", "a").stdout
    assert "labels team" in monitors("channels", "list").stdout
    document = monitors("channels", "show", "a", "--json").document["channel"]
    assert document["grouping"] == {
        "by": "labels", "labels": ["team"], "wait": "5s", "interval": "2m", "hold_urgent": False, "digest_above": 50,
    }  # fmt: skip
    monitors("channels", "update", "a", "--group-by", "alone", "--default")
    assert (
        "Together: alone, digest above 50\nDefault:  yes\nEnds:     not told"
        in monitors("channels", "show", "a").stdout
    )
    assert monitors("channels", "update", "a", ok=False).code == ExitCode.USAGE


def test_an_address_is_verified_by_its_code_and_the_list_says_what_waits(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "ops", "--email", "x@example.org", "--email", "y@example.org")
    mesh.notifier.channels["ops"].email.waiting_addresses[:] = ["x@example.org", "y@example.org"]
    mesh.notifier.channels["ops"].email.unsubscribed_addresses[:] = ["z@example.org"]
    shown = monitors("channels", "show", "ops").stdout
    assert "waits for verification: x@example.org, y@example.org; unsubscribed: z@example.org" in shown
    again = monitors("channels", "verify", "ops", "--again")
    assert "goes to x@example.org, y@example.org" in again.stdout
    assert "no code was mailed to one of them" in again.stderr
    assert "y@example.org still waits" in monitors("channels", "verify", "ops", "k7qf-2m9x").stdout
    assert mesh.notifier.requests[-1].code == "k7qf-2m9x"
    last = monitors("channels", "verify", "ops", "k7qf-2m9x", "--json").document
    assert last["channel"]["settings"]["waiting_addresses"] == []
    for wrong in (("verify", "ops"), ("verify", "ops", "k7qf-2m9x", "--again")):
        assert monitors("channels", *wrong, ok=False).code == ExitCode.USAGE


def test_the_addresses_of_a_channel_are_changed(monitors: Command) -> None:
    monitors("channels", "create", "ops", "--email", "x@example.org")
    changed = monitors("channels", "update", "ops", "--email", "y@example.org", "--json").document
    assert changed["channel"]["settings"]["addresses"] == ["y@example.org"]


def test_what_a_channels_messages_say_is_set_changed_and_shown(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "a", "--email", "x@example.org", "--title-template", "{{title}}")
    sent = mesh.notifier.requests[-1].channel
    assert (sent.title_template, sent.HasField("body_template")) == ("{{title}}", False)
    monitors("channels", "update", "a", "--title-template", "", "--body-template", "{{value}}")
    assert list(mesh.notifier.requests[-1].update_mask.paths) == ["title_template", "body_template"]
    assert "Text:     {{value}}\n" in monitors("channels", "show", "a").stdout
    document = monitors("channels", "show", "a", "--json").document["channel"]
    assert (document["title_template"], document["body_template"]) == ("", "{{value}}")


def test_a_test_that_did_not_arrive_fails(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "ops", "--console")
    assert monitors("channels", "test", "ops").stdout == "ops: ok (status 200) after 12 ms\n"
    mesh.notifier.outcome = DeliveryOutcome.DELIVERY_OUTCOME_FINAL
    outcome = monitors("channels", "test", "ops", "--json", ok=False)
    assert (outcome.code, outcome.document["attempt"]["outcome"]) == (ExitCode.FAILED, "final")


def test_a_channel_is_deleted_by_name(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "ops", "--console")
    assert monitors("channels", "delete", "ops", ok=False).code == ExitCode.USAGE
    monitors("channels", "delete", "ops", "--yes")
    assert mesh.notifier.channels == {}
    assert monitors("channels", "delete", "ops", "--yes", ok=False).code == ExitCode.NOT_FOUND


def test_deliveries_are_listed_and_a_dead_one_is_tried_again(mesh: MemoryMesh, monitors: Command) -> None:
    dead = Delivery(
        id="dlv_000000000001", alert_id="alert_000000000001", channel="ops", attempt_count=9, detail="500",
        kind=AlertEventKind.ALERT_EVENT_KIND_FIRING, state=DeliveryState.DELIVERY_STATE_DEAD,
        update_time=to_timestamp(NOON),
    )  # fmt: skip
    dead.attempts.add(outcome=DeliveryOutcome.DELIVERY_OUTCOME_RETRYABLE, status=500)
    mesh.notifier.deliveries = [dead]
    document = monitors("deliveries", "list", "--state", "dead", "--channel", "ops", "--attempts", "--json").document
    sent = mesh.notifier.requests[-1]
    assert (sent.state, sent.channel, sent.include_attempts) == (DeliveryState.DELIVERY_STATE_DEAD, "ops", True)
    (delivery,) = document["deliveries"]
    assert (delivery["state"], delivery["attempt_count"]) == ("dead", 9)
    assert delivery["attempts"][0] == {
        "start_time": None, "end_time": None, "outcome": "retryable", "status": 500, "detail": "",
    }  # fmt: skip
    assert "dlv_000000000001" in monitors("deliveries", "list").stdout
    assert "is pending" in monitors("deliveries", "retry", "dlv_000000000001").stdout
    assert monitors("deliveries", "retry", "dlv_x", ok=False).code == ExitCode.NOT_FOUND


def test_a_delivery_is_shown_with_its_attempts(mesh: MemoryMesh, monitors: Command) -> None:
    delivery = Delivery(id="dlv_000000000001", alert_id="alert_000000000001", channel="ops", attempt_count=1)
    delivery.attempts.add(
        outcome=DeliveryOutcome.DELIVERY_OUTCOME_RETRYABLE, status=503, detail="it answered 503",
        start_time=to_timestamp(NOON), end_time=to_timestamp(NOON + 12_000_000),
    )  # fmt: skip
    mesh.notifier.deliveries = [delivery]
    shown = monitors("deliveries", "show", "dlv_000000000001").stdout
    assert all(word in shown for word in ("alert_000000000001", "retryable", "12 ms", "503", "it answered 503"))
    assert monitors("deliveries", "show", "dlv_000000000001", "--json").document["delivery"]["channel"] == "ops"
    assert monitors("deliveries", "show", "dlv_x", ok=False).code == ExitCode.NOT_FOUND


def test_a_delivery_is_shown_with_what_the_same_message_told(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.notifier.deliveries = [
        Delivery(id=f"dlv_00000000000{number}", alert_id=f"alert_00000000000{number}", message_id=message)
        for number, message in ((1, "set_1_chan_1"), (2, "set_1_chan_1"), (3, "set_2_chan_1"))
    ]
    shown = monitors("deliveries", "show", "dlv_000000000001").stdout
    assert "set_1_chan_1" in shown
    assert "alert_000000000002" in shown.partition("Told by the same message:")[2]
    assert "alert_000000000003" not in shown
    document = monitors("deliveries", "show", "dlv_000000000001", "--json").document
    assert (document["told_along"], document["told_more"]) == (["dlv_000000000002"], False)
    assert document["delivery"]["message_id"] == "set_1_chan_1"
    listed = monitors("deliveries", "list", "--told-with", "dlv_000000000001", "--json").document["deliveries"]
    assert [one["id"] for one in listed] == ["dlv_000000000001", "dlv_000000000002"]


def test_a_delivery_that_told_one_thing_alone_was_told_along_with_nothing(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.notifier.deliveries = [Delivery(id="dlv_000000000001", message_id="note_1_chan_1")]
    assert "Told by the same message" not in monitors("deliveries", "show", "dlv_000000000001").stdout


def test_all_that_was_given_up_since_is_tried_again(mesh: MemoryMesh, monitors: Command) -> None:
    told = monitors("deliveries", "retry", "--since", "24h", "--channel", "ops", "--state", "dead")
    assert told.stdout == "Waiting to be sent again: 2\n"
    sent = mesh.notifier.requests[-1]
    assert (sent.channel, sent.state) == ("ops", DeliveryState.DELIVERY_STATE_DEAD)
    document = monitors("deliveries", "retry", "--since", "24h", "--json").document
    assert document == {"retried_count": 2, "skipped_count": 1, "has_more": True}
    assert monitors("deliveries", "retry", ok=False).code == ExitCode.USAGE


def test_a_channel_asks_for_heartbeats(mesh: MemoryMesh, monitors: Command) -> None:
    arguments = ("channels", "create", "pulse", "--webhook", "https://example.org/p", "--heartbeat", "1m", "--json")
    assert monitors(*arguments).document["channel"]["heartbeat_interval"] == "1m"
    assert mesh.notifier.channels["pulse"].heartbeat_interval.seconds == 60


def test_a_key_is_printed_alone_on_stdout(mesh: MemoryMesh, monitors: Command) -> None:
    outcome = monitors("keys", "create", "--title", "CI", "--scope", "samples:write", "--expires", "90d")
    assert outcome.stdout == "alk_local_secret\n"
    sent = mesh.rules.requests[-1]
    assert list(sent.scopes) == ["samples:write"]
    assert abs(from_timestamp(sent.expire_time) - now_nanos() - 90 * DAY) < 60 * 10**9
    assert monitors("keys", "create", "--title", "CI", "--json").document == {
        "key": "alk_local_secret",
        "key_id": "key_000000000001",
    }


def test_a_webhooks_secret_is_rotated_and_printed_once(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "a", "--webhook", "https://a/h")
    rotated = monitors("channels", "rotate", "a", "--keep-former", "2h")
    sent = mesh.notifier.requests[-1]
    assert sent.update_mask.paths == ["webhook.secret"]
    assert sent.channel.webhook.keep_former_secret.seconds == 7200
    assert f"Secret: {sent.channel.webhook.secret}" in rotated.stdout
    own = monitors("channels", "rotate", "a", "--secret", "whsec_own", "--json")
    assert own.document["webhook_secret"] == ""
    monitors("channels", "create", "b", "--console")
    assert monitors("channels", "rotate", "b", ok=False).code == ExitCode.USAGE
    assert monitors("channels", "rotate", "a", "--to", "https://b", ok=False).code == ExitCode.USAGE


def test_another_channels_url_or_key_is_replaced(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("channels", "create", "a", "--pagerduty", "secret")
    shown = monitors("channels", "rotate", "a", "--to", "newer")
    sent = mesh.notifier.requests[-1]
    assert (list(sent.update_mask.paths), sent.channel.pager_duty.routing_key) == (["pager_duty.routing_key"], "newer")
    assert "newer" not in shown.stdout
    assert monitors("channels", "rotate", "a", ok=False).code == ExitCode.USAGE
