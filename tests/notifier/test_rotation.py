"""Master keys change places while everything goes on, and what hangs on them stays."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from monitors.mesh.config import NotifierSettings
from monitors.mesh.database import Session
from monitors.mesh.master_keys import FILE_KEY, MasterKey
from monitors.notifier import rotation
from monitors.notifier.rotation import Rotated, Standing, open_rotation
from monitors.notifier.store.sealed import PLACES, reseal
from monitors.notifier.store.tables import ChannelRow
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel
from tests.browser import fetch
from tests.harness import LoopThread
from tests.notifier.test_channel_page import link
from tests.notifier.world import Receiver, World, notification, running
from tests.servers.backends import database_url
from tests.tenants import of_all

OLD, NEW = MasterKey("old", b"o" * 32), MasterKey("new", b"n" * 32)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def make(world: World, name: str, url: str, request_id: str = "") -> Channel:
    webhook = npb.WebhookChannel(url=url, secret=SECRET)
    request = pb.CreateChannelRequest(channel=Channel(name=name, webhook=webhook), request_id=request_id)
    return world.stub.CreateChannel(request).channel


@contextmanager
def opened(loop: LoopThread, folder: Path, *keys: MasterKey) -> Iterator[World]:
    with running(loop, folder, master_keys=keys) as world:
        yield world


def settings(folder: Path, *keys: MasterKey) -> NotifierSettings:
    return NotifierSettings(
        database_url(folder / "notifier.db", "notifier"), folder / "master.key", None, True, master_keys=keys
    )


async def rotate(folder: Path, *keys: MasterKey, give_up_lost: bool = False) -> Rotated:
    async with open_rotation(settings(folder, *keys)) as opened:
        return await opened.run(give_up_lost=give_up_lost)


async def look(folder: Path, *keys: MasterKey) -> Standing:
    async with open_rotation(settings(folder, *keys)) as opened:
        return await opened.look()


def test_a_new_key_takes_the_place_of_an_old_one(loop_thread: LoopThread, tmp_path: Path, receiver: Receiver) -> None:
    with opened(loop_thread, tmp_path, OLD) as world:
        made = make(world, "ops", receiver.url, "1")
        address = link(world)
        assert loop_thread.run(look(tmp_path, OLD)).under == {"old": 3}
        port = int(address.split(":")[2].split("/")[0])
    # The new key is known first, and seals then.
    with opened(loop_thread, tmp_path, OLD, NEW) as world:
        assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel == made
    with opened(loop_thread, tmp_path, NEW, OLD) as world:
        make(world, "night", receiver.url)
        assert loop_thread.run(look(tmp_path, NEW, OLD)).under == {"new": 1, "old": 3}
        present = int(link(world).split(":")[2].split("/")[0])
        # A link that was handed out before goes on.
        page = fetch(address.replace(f":{port}/", f":{present}/"))
        assert page.submit({"kind": "console", "name": "page"}).status == 201
        rotated = loop_thread.run(rotate(tmp_path, NEW, OLD))
        assert (rotated.resealed, rotated.lost, rotated.standing.under) == (3, 0, {"new": 6, "old": 0})
        assert loop_thread.run(rotate(tmp_path, NEW, OLD)).resealed == 0
    with opened(loop_thread, tmp_path, NEW) as world:
        assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel == made
        assert make(world, "ops", receiver.url, "1") == made
        world.tell(notification("n1", channels=("ops",)))
        world.wait_for_states(("n1", "DELIVERED"))
        assert "webhook-signature" in receiver.received.items[0].headers


def test_the_key_in_the_file_is_one_of_them(loop_thread: LoopThread, tmp_path: Path, receiver: Receiver) -> None:
    with opened(loop_thread, tmp_path) as world:
        made = make(world, "ops", receiver.url)
        assert loop_thread.run(look(tmp_path)).under == {FILE_KEY: 2}
    with opened(loop_thread, tmp_path, NEW) as world:
        assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel == made
        assert loop_thread.run(rotate(tmp_path, NEW)).standing.under == {"new": 2, FILE_KEY: 0}
    (tmp_path / "master.key").unlink()
    with opened(loop_thread, tmp_path, NEW) as world:
        assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel == made
    assert not (tmp_path / "master.key").exists()


def test_deliveries_and_changes_go_on_meanwhile(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 1)
    names = [f"ops{number}" for number in range(20)]
    with opened(loop_thread, tmp_path, OLD) as world:
        prints = {name: make(world, name, receiver.url).webhook.secret_fingerprint for name in names}
    with opened(loop_thread, tmp_path, NEW, OLD) as world, ThreadPoolExecutor(3) as pool:
        world.tell(*(notification(f"n{n}", channels=(name,), stream=name, sequence=n) for n, name in enumerate(names)))

        def change() -> None:
            for name in names[::2]:
                url = npb.WebhookChannel(url=f"{receiver.url}/changed")
                request = pb.UpdateChannelRequest(channel=Channel(id=name, webhook=url))
                request.update_mask.paths.append("webhook.url")
                world.stub.UpdateChannel(request)
            for name in ("more1", "more2"):
                make(world, name, receiver.url)

        rotating = [pool.submit(loop_thread.run, rotate(tmp_path, NEW, OLD)) for _ in range(2)]
        changing = pool.submit(change)
        rotated = [each.result() for each in rotating]
        changing.result()
        world.wait_for_states(*((f"n{number}", "DELIVERED") for number in range(20)))
        assert sum(each.resealed for each in rotated) <= len(names) + 1
        assert loop_thread.run(rotate(tmp_path, NEW, OLD)).standing.under["old"] == 0
    with opened(loop_thread, tmp_path, NEW) as world:
        channels = world.stub.ListChannels(pb.ListChannelsRequest()).channels
        assert {each.name: each.webhook.secret_fingerprint for each in channels if each.name in prints} == prints
        assert {each.webhook.url for each in channels if each.name in names[::2]} == {f"{receiver.url}/changed"}
        assert not any(each.disabled_reason for each in channels)


def test_what_was_stopped_halfway_goes_on(loop_thread: LoopThread, tmp_path: Path, receiver: Receiver) -> None:
    with opened(loop_thread, tmp_path, OLD) as world:
        for number in range(5):
            make(world, f"ops{number}", receiver.url)

    async def begin() -> None:
        async with open_rotation(settings(tmp_path, NEW, OLD)) as opened:
            await opened._database.write(lambda session: reseal(session, opened._sealer, PLACES[0], None, 2))

    loop_thread.run(begin())
    assert loop_thread.run(look(tmp_path, NEW, OLD)).under == {"new": 2, "old": 4}
    rotated = loop_thread.run(rotate(tmp_path, NEW, OLD))
    assert (rotated.resealed, rotated.standing.under) == (4, {"new": 6, "old": 0})


def test_what_no_key_opens_is_counted_and_left_alone(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    with opened(loop_thread, tmp_path, OLD) as world:
        make(world, "ops", receiver.url)
    other = MasterKey("other", b"x" * 32)
    rotated = loop_thread.run(rotate(tmp_path, NEW, other))
    assert (rotated.resealed, rotated.lost) == (0, 2)
    unknown = f"unknown {OLD.id.hex()}"
    assert rotated.standing.under == {"new": 0, "other": 0, unknown: 2}
    assert loop_thread.run(rotate(tmp_path, NEW, OLD)).resealed == 2


def test_an_older_installation_keeps_its_fingerprints(loop_thread: LoopThread, tmp_path: Path) -> None:
    """One that has no row for the key of fingerprints yet, and gets its second master key with the new version."""
    with opened(loop_thread, tmp_path, OLD) as world:
        before = make(world, "ops", "https://example.org").webhook.secret_fingerprint

    async def forget() -> None:
        async with open_rotation(settings(tmp_path, OLD)) as opened:

            @of_all
            def work(session: Session) -> None:
                session.connection().exec_driver_sql("DELETE FROM notifier_sealed_keys")
                assert session.scalar(select(ChannelRow.name)) == "ops"

            await opened._database.write(work)

    loop_thread.run(forget())
    with opened(loop_thread, tmp_path, NEW, OLD) as world:
        channel = world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel
        assert channel.webhook.secret_fingerprint == before
