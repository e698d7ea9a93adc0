"""Standard Webhooks: signatures that an independent implementation verifies, also while a secret is rotated."""

import base64
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from monitors.mesh.masking import Secret
from monitors.mesh.times import DAY, SECOND
from monitors.notifier.model.checks import keep_former
from monitors.notifier.model.targets import WebhookTarget
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, WebhookChannel
from tests.notifier.test_channels import create, refusal
from tests.notifier.world import Received, Receiver, World

OLD, NEW, OTHER = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2, 3))
NOW = 1_800_000_000 * SECOND


def verifies(received: Received, secret: str) -> bool:
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def rotate(world: World, secret: str, **fields: Any) -> WebhookChannel:
    sent = Channel(id="ops", webhook=WebhookChannel(secret=secret, **fields))
    request = pb.UpdateChannelRequest(channel=sent, update_mask=FieldMask(paths=["webhook.secret"]))
    return world.stub.UpdateChannel(request).channel.webhook


def send(world: World, receiver: Receiver) -> Received:
    before = len(receiver.received.items)
    world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops"))
    return receiver.received.items[before]


def test_while_a_secret_is_rotated_both_verify_a_message_and_afterwards_the_new_one_alone(
    world: World, receiver: Receiver
) -> None:
    create(world, name="ops", webhook=WebhookChannel(url=receiver.url, secret=OLD))
    first = send(world, receiver)
    assert (verifies(first, OLD), verifies(first, NEW)) == (True, False)
    rotated = rotate(world, NEW, keep_former_secret=Duration(seconds=60))
    assert rotated.former_secret_fingerprint not in ("", rotated.secret_fingerprint)
    second = send(world, receiver)
    assert [part.partition(",")[0] for part in second.headers["webhook-signature"].split()] == ["v1", "v1"]
    assert (verifies(second, OLD), verifies(second, NEW), verifies(second, OTHER)) == (True, True, False)
    changed = rotate(world, "", keep_former_secret=Duration(seconds=0))
    assert changed.former_secret_fingerprint == ""
    third = send(world, receiver)
    assert (verifies(third, OLD), verifies(third, NEW)) == (False, True)


def test_the_former_secret_ends_by_itself() -> None:
    current = WebhookTarget(Secret("https://a"), Secret(OLD))
    rotated = keep_former(WebhookTarget(Secret("https://a"), Secret(NEW)), current, None, NOW)
    assert rotated.secrets(NOW + DAY - 1) == (Secret(NEW), Secret(OLD))
    assert rotated.secrets(NOW + DAY) == (Secret(NEW),)


def test_a_change_of_the_url_keeps_both_secrets() -> None:
    current = WebhookTarget(Secret("https://a"), Secret(NEW), Secret(OLD), NOW + 5)
    moved = keep_former(WebhookTarget(Secret("https://b"), Secret(NEW)), current, None, NOW)
    assert moved == WebhookTarget(Secret("https://b"), Secret(NEW), Secret(OLD), NOW + 5)


def test_what_was_kept_before_gives_way_to_what_was_in_use() -> None:
    current = WebhookTarget(Secret("https://a"), Secret(NEW), Secret(OLD), NOW + 5)
    again = keep_former(WebhookTarget(Secret("https://a"), Secret(OTHER)), current, None, NOW)
    assert again.secrets(NOW) == (Secret(OTHER), Secret(NEW))


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1])
def test_a_former_secret_is_not_kept_for_ever(world: World, seconds: int) -> None:
    create(world, name="ops", webhook=WebhookChannel(url="https://example.org", secret=OLD))
    code, message = refusal(lambda: rotate(world, NEW, keep_former_secret=Duration(seconds=seconds)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "channel.webhook.keep_former_secret" in message
