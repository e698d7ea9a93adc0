"""`monitors channels link`: a person adds a channel on the page of a running mesh, and no log has the link."""

from pathlib import Path
from urllib.parse import urlsplit

from tests.browser import fetch
from tests.processes import receiver, running_mesh


def test_a_channel_is_added_by_a_link(tmp_path: Path) -> None:
    with receiver() as receiving, running_mesh(tmp_path, "--no-host") as mesh:
        printed = mesh.command("channels", "link", "ops")
        assert printed.returncode == 0, printed.stderr
        address = printed.stdout.strip()
        assert urlsplit(address).hostname == "127.0.0.1"
        assert "until" in printed.stderr
        assert mesh.json("channels", "link").keys() == {"url", "expire_time"}
        page = fetch(address)
        assert page.filled()["name"] == "ops"
        hook = f"{receiving.url}?token=canary"
        assert page.submit({"kind": "webhook", "webhook.url": hook, "is_default": "yes"}).status == 201
        assert fetch(address).status == 410
        made = mesh.json("channels", "list")["channels"]
        assert [(channel["name"], channel["kind"], channel["is_default"]) for channel in made] == [
            ("console", "console", True),
            ("ops", "webhook", True),
        ]
        assert mesh.command("channels", "test", "ops").returncode == 0
        assert receiving.of_type("notification.test")
    written = (tmp_path / "monitors.log").read_text() + "".join(mesh.output)
    assert "was added by a link of 'key_" in written
    for secret in (address.partition("=")[2], address.rpartition(".")[2], "canary"):
        assert secret not in written
