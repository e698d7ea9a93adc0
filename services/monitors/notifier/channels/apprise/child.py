"""The process in which Apprise runs: it's told what to send, sends it, and tells how it went."""

import json
import os
import re
import sys
from typing import Any

from monitors.notifier.channels.apprise.lock import Lock, limit_resources

_STATUS = re.compile(r"\berror\s*=\s*(\d{3})\b|\bHTTP(?: error)? (\d{3})\b")


def main() -> None:
    """Reads one request from the standard input, and writes the answer to what was the standard output."""
    request = json.load(sys.stdin)
    # What a library prints isn't the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    limit_resources()
    answers.write(json.dumps(_send(request)))
    answers.close()


def _send(request: dict[str, Any]) -> dict[str, Any]:
    # It reads hundreds of files, so it's here before nothing can be read any more.
    import apprise
    from apprise.common import OverflowMode

    asset = apprise.AppriseAsset(
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        http_redirects=False,
        async_mode=False,
        default_service_retry=0,
        allow_templates=False,
        secure_logging=True,
        language="en",
        service_timeout=request["timeout"],
        image_url_mask="",
        image_url_logo="",
        app_id="Monitors",
        app_desc="Monitors",
        app_url="",
    )
    lock = Lock(allow_local=request["allow_local"])
    service = apprise.Apprise.instantiate(request["url"], asset=asset)
    if service is None:
        return {"status": "unreadable"}
    service.overflow_mode = OverflowMode.TRUNCATE
    sending = apprise.Apprise(asset=asset)
    sending.add(service)
    result = sending.notify(
        title=request["title"],
        body=request["body"],
        body_format=apprise.NotifyFormat.TEXT,
        notify_type=request["type"],
    )
    found = [match for entry in result.logs() for match in _STATUS.finditer(entry.message)]
    codes = [int(match[1] or match[2]) for match in found]
    status = {0: "sent", 5: "unknown"}.get(int(result.status), "failed")
    return {"status": status, "code": codes[-1] if codes else 0, "refused": lock.refused > 0}


if __name__ == "__main__":
    main()
