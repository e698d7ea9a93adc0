"""Sends a message by Apprise and judges how it went."""

import asyncio
import json
import logging
import sys
from typing import Any

from monitors.mesh.times import MINUTE
from monitors.notifier.channels.apprise.render import render
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.message import Kind
from monitors.notifier.model.targets import AppriseTarget

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 15.0
AT_ONCE = 2
"""How many processes there are: each needs half a second of a processor to start."""
PAUSE = MINUTE
CHILD = "monitors.notifier.channels.apprise.child"
REFUSED = frozenset({400, 422})
BROKEN = frozenset({401, 403, 404, 410})
# Nothing of what the notifier knows: no credentials, no proxies, no home.
_ENVIRONMENT = {"PATH": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"}


class Apprise:
    """Runs Apprise in processes of their own, each for one message, which can't be cancelled otherwise."""

    def __init__(self, *, allow_local: bool, deadline: float = DEADLINE_SECONDS) -> None:
        self._allow_local = allow_local
        self._deadline = deadline
        self._places = asyncio.Semaphore(AT_ONCE)

    async def send(self, target: AppriseTarget, content: Content, now: int, wording: Wording = USUAL) -> Outcome:
        """Makes one attempt."""
        title, body = render(content, now, wording)
        request = {
            "url": target.url.reveal(),
            "title": title,
            "body": body,
            "type": _type_of(content),
            "allow_local": self._allow_local,
            "timeout": self._deadline,
        }
        async with self._places:
            answer = await self._run(json.dumps(request).encode())
        return judge(answer, target.service or "the service")

    async def _run(self, request: bytes) -> dict[str, Any] | None:
        """What the process answers; None if nothing."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", "-m", CHILD,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._deadline):
                said, _ = await process.communicate(request)
            answer = json.loads(said)
        except (TimeoutError, ValueError, OSError) as error:
            log.info("a process of Apprise gave no answer: %s", type(error).__name__)
            return None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return answer if isinstance(answer, dict) else None


def _type_of(content: Content) -> str:
    entries = content.entries if isinstance(content, Bundle) else (content,)
    if any(entry.fires or entry.kind is Kind.NOTICE for entry in entries):
        return "failure"
    return "success" if any(entry.kind is Kind.RESOLVED for entry in entries) else "info"


def judge(answer: dict[str, Any] | None, service: str) -> Outcome:
    """The outcome; Apprise tells the status of an answer in words alone, and not always."""
    match answer:
        case {"status": "sent"}:
            return Outcome(OutcomeKind.OK, f"{service} has taken it")
        case {"status": "unreadable"}:
            why = f"Apprise can't read its URL as one of {service}; enter it again by updating the channel"
            return Outcome(OutcomeKind.CONFIGURATION_BROKEN, why)
        case {"status": "failed", "code": int(code)} if code:
            return _judge_code(code, service)
        case {"status": "failed", "refused": True}:
            return Outcome(OutcomeKind.RETRYABLE, "the endpoint can't be reached, or its address isn't allowed")
        case _:
            return Outcome(OutcomeKind.AMBIGUOUS, f"{service} didn't answer; whether it has the message is unknown")


def _judge_code(code: int, service: str) -> Outcome:
    detail = f"{service} answered {code}"
    if code == 429:
        return Outcome(OutcomeKind.THROTTLED, detail, code, PAUSE)
    kind = OutcomeKind.RETRYABLE
    if code in BROKEN:
        kind = OutcomeKind.CONFIGURATION_BROKEN
    elif code == 413:
        kind = OutcomeKind.TOO_LARGE
    elif code in REFUSED:
        kind = OutcomeKind.FINAL
    return Outcome(kind, detail, code)
