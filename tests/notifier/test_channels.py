"""Channels: made, shown without their secrets, changed, deleted; and refused with the fix."""

import base64
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.mesh.master_keys import MasterKey
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, ConsoleChannel, EmailChannel, SlackChannel, WebhookChannel
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from tests.harness import LoopThread
from tests.notifier.test_rotation import rotate
from tests.notifier.world import Receiver, Reply, World, as_tenant, running
from tests.servers.backends import everything_in

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
URL = "https://example.org/hooks?token=canary"


def create(world: World, request_id: str = "", **fields: Any) -> pb.CreateChannelResponse:
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=Channel(**fields), request_id=request_id))


def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    return error.code(), error.details()


def test_a_webhooks_secret_is_shown_once_and_its_url_without_what_may_be_secret(world: World) -> None:
    created = create(world, name="ops", webhook=WebhookChannel(url=URL))
    assert created.webhook_secret.startswith("whsec_")
    assert created.channel.id.startswith("chan_")
    assert created.channel.send_resolved
    assert created.channel.webhook.url == "https://example.org/hooks"
    assert len(created.channel.webhook.secret_fingerprint) == 8
    shown = world.stub.GetChannel(pb.GetChannelRequest(channel_id=created.channel.id)).channel
    assert shown == created.channel == world.stub.ListChannels(pb.ListChannelsRequest()).channels[0]
    assert "canary" not in str(shown)
    assert world.rules.mirrored.items[-1] == ("acme", ["ops"])


def test_a_secret_that_was_given_is_not_told_again(world: World) -> None:
    given = WebhookChannel(url=URL, secret="whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    created = create(world, name="ops", webhook=given)
    assert created.webhook_secret == ""
    assert created.channel.webhook.secret_fingerprint
    assert given.secret not in str(created)


def test_no_secret_lies_open_in_the_database(world: World, tmp_path: Path) -> None:
    create(world, "req", name="ops", webhook=WebhookChannel(url=URL, secret=SECRET))
    create(world, name="chat", slack=SlackChannel(webhook_url="https://hooks.slack.com/services/canary"))
    stored = everything_in(tmp_path / "notifier.db", "notifier")
    assert b"ops" in stored
    assert b"canary" not in stored
    assert SECRET.removeprefix("whsec_").encode() not in stored


def test_a_repeated_request_gets_the_first_answer_and_another_one_is_refused(world: World) -> None:
    first = create(world, "req_1", name="ops", webhook=WebhookChannel(url=URL))
    assert create(world, "req_1", name="ops", webhook=WebhookChannel(url=URL)) == first
    code, message = refusal(lambda: create(world, "req_1", name="ops2", webhook=WebhookChannel(url=URL)))
    assert (code, "req_1" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert len(world.stub.ListChannels(pb.ListChannelsRequest()).channels) == 1
    deletion = pb.DeleteChannelRequest(channel_id="ops", request_id="req_2")
    assert world.stub.DeleteChannel(deletion) == world.stub.DeleteChannel(deletion)


def test_a_taken_name_is_refused(world: World) -> None:
    create(world, name="ops", console=ConsoleChannel())
    code, message = refusal(lambda: create(world, name="ops", console=ConsoleChannel()))
    assert (code, "'ops' already" in message) == (grpc.StatusCode.ALREADY_EXISTS, True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, ["channel.name", "ops"]),
        ({"name": "a b"}, ["channel.name", "a b"]),
        ({"name": "x" * 1_000_000}, ["channel.name", "…"]),
        ({"name": "chan_1"}, ["channel.name", "id"]),
        ({"console": None}, ["channel.kind", "webhook, console"]),
        ({"webhook": WebhookChannel(url="")}, ["channel.webhook.url", "https://example.org"]),
        ({"webhook": WebhookChannel(url="ftp://example.org")}, ["channel.webhook.url", "ftp", "https://"]),
        ({"webhook": WebhookChannel(url="https://a:canary@example.org")}, ["channel.webhook.url", "password"]),
        ({"webhook": WebhookChannel(url="https://example.org/a b")}, ["channel.webhook.url"]),
        ({"webhook": WebhookChannel(url="https://[::1")}, ["channel.webhook.url"]),
        ({"webhook": WebhookChannel(url="https://example.org:99999")}, ["channel.webhook.url"]),
        ({"webhook": WebhookChannel(url="https://169.254.169.254/latest")}, ["channel.webhook.url", "169.254"]),
        ({"webhook": WebhookChannel(url="https://example.org/" + "x" * 2048)}, ["channel.webhook.url", "2,048"]),
        ({"webhook": WebhookChannel(url=URL, secret="canary")}, ["channel.webhook.secret", "whsec_"]),
        ({"webhook": WebhookChannel(url=URL, secret="whsec_canary!")}, ["channel.webhook.secret", "base64"]),
        ({"webhook": WebhookChannel(url=URL, secret="whsec_YWJj")}, ["channel.webhook.secret", "24 to 64"]),
        ({"slack": SlackChannel(webhook_url="https://example.org/canary")}, ["slack.webhook_url", "hooks.slack.com"]),
        ({"slack": SlackChannel(webhook_url="http://hooks.slack.com/canary")}, ["slack.webhook_url", "https"]),
        ({"email": EmailChannel(addresses=["ann@example.org"])}, ["channel.email.addresses", "SMTP_HOST"]),
    ],
)
def test_a_wrong_channel_is_refused_with_field_and_fix(
    shared_world: World, fields: dict[str, Any], words: list[str]
) -> None:
    kind = {"console": ConsoleChannel()} if "name" in fields else {}
    code, message = refusal(lambda: create(shared_world, **{"name": "ops", **kind, **fields}))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [word for word in words if word not in message] == []
    assert "canary" not in message
    assert len(message) < 400
    assert not shared_world.stub.ListChannels(pb.ListChannelsRequest()).channels
    assert shared_world.rules.mirrored.items == []


def test_a_production_notifier_takes_neither_plain_http_nor_its_own_network(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with running(loop_thread, tmp_path, allow_local=False) as world:
        for url in ("http://example.org", "https://localhost/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/"):
            code, message = refusal(lambda url=url: create(world, name="ops", webhook=WebhookChannel(url=url)))
            assert (code, "channel.webhook.url" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        slack = SlackChannel(webhook_url="http://127.0.0.1:1/")
        assert refusal(lambda: create(world, name="ops", slack=slack))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_plain_http_is_allowed_locally_with_a_warning(world: World, receiver: Receiver) -> None:
    assert "plain http" in create(world, name="ops", webhook=WebhookChannel(url=receiver.url)).warnings[0]


def test_an_update_changes_what_the_mask_names_and_keeps_the_rest(world: World, receiver: Receiver) -> None:
    channel = create(world, name="ops", webhook=WebhookChannel(url=receiver.url, secret=SECRET)).channel
    sent = Channel(id=channel.id, etag=channel.etag, is_default=True)
    changed = world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=sent)).channel
    assert (changed.is_default, changed.send_resolved) == (True, True)
    assert changed.webhook == channel.webhook
    assert changed.etag != channel.etag
    sent = Channel(id="ops", webhook=WebhookChannel(url=f"{receiver.url}/new"))
    mask = FieldMask(paths=["webhook.url", "is_default", "send_resolved"])
    changed = world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=sent, update_mask=mask)).channel
    assert changed.webhook.secret_fingerprint == channel.webhook.secret_fingerprint
    assert changed.webhook.url == f"{receiver.url}/new"
    assert (changed.is_default, changed.send_resolved) == (False, True)


@pytest.mark.parametrize(
    ("sent", "paths", "code", "words"),
    [
        (Channel(id="ops", etag="stale", is_default=True), [], grpc.StatusCode.ABORTED, "etag"),
        (Channel(id="ops", name="new"), ["name"], grpc.StatusCode.INVALID_ARGUMENT, "renamed"),
        (Channel(id="ops"), ["colour"], grpc.StatusCode.INVALID_ARGUMENT, "'colour'"),
        (Channel(id="ops"), ["webhook"], grpc.StatusCode.INVALID_ARGUMENT, "webhook"),
        (Channel(id="ops", webhook=WebhookChannel(url=URL)), [], grpc.StatusCode.INVALID_ARGUMENT, "secret"),
        (Channel(id="gone", is_default=True), [], grpc.StatusCode.NOT_FOUND, "'gone'"),
        (Channel(is_default=True), [], grpc.StatusCode.INVALID_ARGUMENT, "channel.id"),
    ],
)
def test_a_wrong_update_is_refused_and_changes_nothing(
    world: World, sent: Channel, paths: list[str], code: grpc.StatusCode, words: str
) -> None:
    before = create(world, name="ops", console=ConsoleChannel()).channel
    request = pb.UpdateChannelRequest(channel=sent, update_mask=FieldMask(paths=paths))
    seen, message = refusal(lambda: world.stub.UpdateChannel(request))
    assert (seen, words in message) == (code, True)
    assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel == before


def test_without_rule_service_no_name_appears_or_goes(world: World) -> None:
    create(world, name="old", console=ConsoleChannel())
    world.rules.away = True
    for call in (
        lambda: create(world, name="new", console=ConsoleChannel()),
        lambda: world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="old")),
    ):
        code, message = refusal(call)
        assert (code, "rules service" in message) == (grpc.StatusCode.UNAVAILABLE, True)
    assert [channel.name for channel in world.stub.ListChannels(pb.ListChannelsRequest()).channels] == ["old"]


def test_another_tenants_channel_looks_like_none(world: World) -> None:
    channel = create(world, name="ops", console=ConsoleChannel()).channel
    with grpc.insecure_channel(f"127.0.0.1:{world.port}") as raw:
        other = NotifierServiceStub(as_tenant(raw, "globex"))
        for identifier in (channel.id, "ops"):
            answers = {
                refusal(lambda call=call, request=request: call(request))
                for call, request in (
                    (other.GetChannel, pb.GetChannelRequest(channel_id=identifier)),
                    (other.DeleteChannel, pb.DeleteChannelRequest(channel_id=identifier)),
                    (other.TestChannel, pb.TestChannelRequest(channel_id=identifier)),
                    (other.UpdateChannel, pb.UpdateChannelRequest(channel=Channel(id=identifier))),
                )
            }
            ((code, message),) = answers
            assert code is grpc.StatusCode.NOT_FOUND
            unknown = refusal(lambda: other.GetChannel(pb.GetChannelRequest(channel_id="x")))[1]
            assert message == unknown.replace("'x'", repr(identifier))
        assert not other.ListChannels(pb.ListChannelsRequest()).channels


def test_channels_are_paged_by_name(world: World) -> None:
    for name in ("c", "a", "B", "d"):
        create(world, name=name, console=ConsoleChannel())
    first = world.stub.ListChannels(pb.ListChannelsRequest(page_size=3))
    rest = world.stub.ListChannels(pb.ListChannelsRequest(page_size=3, page_token=first.next_page_token))
    assert [channel.name for channel in (*first.channels, *rest.channels)] == ["B", "a", "c", "d"]
    assert rest.next_page_token == ""
    for call in (
        lambda: world.stub.ListChannels(pb.ListChannelsRequest(page_token="junk")),
        lambda: world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_token=first.next_page_token)),
        lambda: world.stub.ListChannels(pb.ListChannelsRequest(page_size=-1)),
        lambda: world.stub.ListDeliveries(pb.ListDeliveriesRequest(state=99)),  # type: ignore[arg-type]
    ):
        assert refusal(call)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_test_tells_how_it_went_without_the_urls_secrets(world: World, receiver: Receiver) -> None:
    create(world, name="ops", webhook=WebhookChannel(url=f"{receiver.url}/hook/canary?key=canary"))
    receiver.script = [Reply(500, body=b"no route /hook/canary?key=canary")]
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops")).attempt
    assert (attempt.outcome, attempt.status) == (npb.DELIVERY_OUTCOME_RETRYABLE, 500)
    assert "no route" in attempt.detail
    assert "canary" not in attempt.detail
    assert world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops")).attempt.outcome == npb.DELIVERY_OUTCOME_OK


def test_slack_gets_its_payload(world: World, receiver: Receiver) -> None:
    create(world, name="chat", slack=SlackChannel(webhook_url=f"{receiver.url}/services/x"))
    assert world.stub.TestChannel(pb.TestChannelRequest(channel_id="chat")).attempt.outcome == npb.DELIVERY_OUTCOME_OK
    (request,) = receiver.received.items
    assert request.path == "/services/x"
    assert b"This is a test" in request.body


def test_a_tenant_without_channels_gets_the_console_and_one_with_channels_does_not(world: World) -> None:
    world.loop.run(world.notifier.ensure_console("acme"))
    world.loop.run(world.notifier.ensure_console("acme"))
    (channel,) = world.stub.ListChannels(pb.ListChannelsRequest()).channels
    assert (channel.name, channel.is_default, channel.HasField("console")) == ("console", True, True)
    assert world.rules.mirrored.items[-1] == ("acme", ["console"])


def test_with_another_master_key_a_channel_says_that_its_secrets_are_lost(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with running(loop_thread, tmp_path) as world:
        create(world, "req", name="ops", webhook=WebhookChannel(url=URL))
        create(world, name="console", console=ConsoleChannel())
    (tmp_path / "master.key").unlink()
    new = MasterKey("new", bytes(32))
    assert loop_thread.run(rotate(tmp_path, new, give_up_lost=True)).lost
    with running(loop_thread, tmp_path, master_keys=(new,)) as world:
        console, ops = world.stub.ListChannels(pb.ListChannelsRequest()).channels
        assert console.disabled_reason == ""
        assert "master key" in ops.disabled_reason
        attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops")).attempt
        assert attempt.outcome == npb.DELIVERY_OUTCOME_CONFIGURATION_BROKEN
        sent = Channel(id="ops", webhook=WebhookChannel(url=URL, secret=SECRET))
        assert world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=sent)).channel.disabled_reason == ""


channels = st.builds(
    Channel,
    name=st.text(max_size=70) | st.just("ops"),
    webhook=st.none() | st.builds(WebhookChannel, url=st.text() | st.just(URL), secret=st.text()),
    is_default=st.booleans(),
    etag=st.text(max_size=5),
    id=st.text(max_size=70),
) | st.builds(Channel, name=st.just("ops"), email=st.builds(EmailChannel, addresses=st.lists(st.text())))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(channel=channels, paths=st.lists(st.text(max_size=20), max_size=2), token=st.text(max_size=20))
def test_no_request_ends_in_a_fault_of_ours(world: World, channel: Channel, paths: list[str], token: str) -> None:
    for call in (
        lambda: world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel, request_id=token)),
        lambda: world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel, update_mask=FieldMask(paths=paths))),
        lambda: world.stub.ListChannels(pb.ListChannelsRequest(page_token=token)),
        lambda: world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_token=token, channel=token)),
        lambda: world.stub.RetryDelivery(pb.RetryDeliveryRequest(delivery_id=token, request_id=token)),
    ):
        try:
            call()
        except grpc.RpcError as error:
            refused: Any = error
            assert refused.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), refused.details()
