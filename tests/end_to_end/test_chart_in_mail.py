"""The whole mesh by one command: a point is pushed, and the mail that tells of it shows what was measured."""

import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.harness import LoopThread
from tests.notifier.mailboxes import code_of, text_of
from tests.notifier.test_email import Mailbox, listening
from tests.notifier.world import PATIENCE
from tests.processes import MeshProcess, running_mesh


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mesh(loop_thread: LoopThread, mailbox: Mailbox, tmp_path: Path) -> Iterator[MeshProcess]:
    with loop_thread.opened(listening(mailbox)) as port:
        environment = {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(port),
            "SMTP_SECURITY": "none",
            "SMTP_USERNAME": "monitors",
            "SMTP_PASSWORD": "canary",
            "SMTP_FROM": "Monitors <alerts@example.org>",
            # As long as it takes, however busy the machine is.
            "MONITORS_CHART_SECONDS": str(PATIENCE),
        }
        with running_mesh(tmp_path, "--no-host", environment=environment) as process:
            yield process


def write(mesh: MeshProcess, *points: tuple[float, float]) -> None:
    """Pushes values that were measured so many seconds ago."""
    now = time.time()
    lines = [f"web,monitor_id=shop response_time={value} {int((now - ago) * 1e9)}" for value, ago in points]
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=o&bucket=b",
        "\n".join(lines).encode(),
        {"Authorization": f"Token {mesh.key}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


@pytest.mark.process
def test_a_pushed_point_is_told_by_a_mail_with_a_chart(mesh: MeshProcess, mailbox: Mailbox) -> None:
    write(mesh, *((120.0 + ago % 7, float(ago)) for ago in range(600, 10, -10)))
    done = mesh.command("channels", "create", "mail", "--email", "ann@example.org")
    assert "monitors channels verify mail CODE" in done.stderr
    ((_, asking),) = mailbox.mails.wait_for_count(1)
    for arguments in (
        ("channels", "verify", "mail", code_of(text_of(asking))),
        ("rules", "create", "--monitor", "shop", "--title", "Checkout is slow", "--when", "response_time > 500",
         "--notify", "mail"),
    ):  # fmt: skip
        done = mesh.command(*arguments)
        assert done.returncode == 0, done.stderr
    write(mesh, (731.5, 0.0))
    _, (_, mail) = mailbox.mails.wait_for_count(2)
    (image,) = [part for part in mail.walk() if part.get_content_maintype() == "image"]
    with Image.open(BytesIO(image.get_content())) as picture:
        assert picture.size == (1_200, 500)
    text = mail.get_body(("plain",))
    assert text is not None
    assert "response_time > 500, " in text.get_content()
    assert "highest 731.5, last 731.5, compared with 500" in text.get_content()
