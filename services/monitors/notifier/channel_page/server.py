"""Serves the page: one form, which makes one channel for each link; and the pages of links in mails."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from monitors.mesh.audit import Source
from monitors.mesh.channel_links import ChannelLink, LinkExpired, LinkInvalid, open_token
from monitors.mesh.config import PageSettings
from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.errors import MeshError, RequestIdReused
from monitors.mesh.server import PortTaken
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.answers import Answers
from monitors.notifier.auditing import Actor
from monitors.notifier.channel_page.entries import LINK, Entries, problems_of, read_form, to_channel
from monitors.notifier.channel_page.html import STYLE_HASH, done_page, form_page, notice_page
from monitors.notifier.channel_page.mail_pages import MailPages
from monitors.notifier.channel_page.makers import Makers
from monitors.notifier.clock import Clock
from monitors.notifier.kinds import KINDS
from monitors.notifier.mail_links import MailLinks
from monitors.notifier.making import ChannelMaker
from monitors.notifier.once import Once
from monitors.notifier.store.requests import RequestStore

log = logging.getLogger(__name__)
# What clients send that isn't HTTP is no news, and a line of it may hold a token.
_protocol_log = logging.getLogger(f"{__name__}.protocol")
# Not `disabled`, which whoever configures logging later takes back.
_protocol_log.addFilter(lambda _: False)

PATH = "/channels/new"
METHOD = "ChannelLink"
SOURCE = Source(client="channel page")
MAX_BODY = 65_536
BODY_SECONDS = 10.0
# Bounds how long a connection may take to send its headers, too.
IDLE_SECONDS = 10.0
SHUTDOWN_SECONDS = 5.0
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "monitors",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ASK_AGAIN = "Ask Claude for the channel again, or run `monitors channels link`: both give you a new link."
_STATUS_OF_CODE = {
    "INVALID_ARGUMENT": HTTPStatus.UNPROCESSABLE_ENTITY,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """Nothing is done; the page says why."""

    def __init__(self, status: HTTPStatus, title: str, *paragraphs: str) -> None:
        super().__init__(title)
        self.status = status
        self.page = notice_page(title, *paragraphs)


class ChannelPage:
    """The handlers. `keys` are what links may be signed with, `origin` where browsers find the page."""

    def __init__(
        self,
        maker: ChannelMaker,
        makers: Makers,
        database: Database,
        requests: RequestStore,
        keys: Sequence[bytes],
        clock: Clock,
        answers: Answers,
        links: MailLinks,
    ) -> None:
        self._mail_pages = MailPages(answers, links, _html)
        self._maker = maker
        self._makers = makers
        self._database = database
        self._requests = requests
        self._keys = keys
        self._clock = clock
        self.origin = ""

    def application(self) -> web.Application:
        """All routes."""
        app = web.Application(middlewares=[_answer_errors], client_max_size=MAX_BODY)
        app.router.add_get(PATH, self.show)
        app.router.add_post(PATH, self.add)
        self._mail_pages.add_to(app)
        return app

    async def show(self, request: web.Request) -> web.Response:
        """The empty form. It uses nothing up, so a program that looks at links does no harm."""
        token = request.query.get(LINK, "")
        link = await self._open(token)
        kind = next(kind for kind, known in KINDS.items() if not known.missing(self._maker.policy))
        return _html(form_page(token, link, Entries(name=link.name, kind=kind), self._maker.policy, {}))

    async def add(self, request: web.Request) -> web.Response:
        """Makes the channel. A link is used up by success only."""
        if _comes_from_elsewhere(request, self.origin):
            raise Refused(HTTPStatus.FORBIDDEN, "This form came from another page", "Open the link itself.")
        token, entries = await _form_of(request)
        link = await self._open(token)
        # No two requests are equal, so that not even a repeat sees what the first one was answered.
        once = Once(Actor(link.tenant, link.user, SOURCE, link.tier), METHOD, link.id, secrets.token_bytes(16))
        try:
            if await self._makers.has_ended(link, self._clock.now()):
                raise _ended()
            response = await self._maker.make(to_channel(entries), once, link.tier)
        except RequestIdReused:
            raise _used() from None
        except Refused:
            raise
        except Exception as error:
            known = _to_tell(error)
            page = form_page(token, link, entries, self._maker.policy, problems_of(known))
            return _html(page, _STATUS_OF_CODE.get(known.code, HTTPStatus.INTERNAL_SERVER_ERROR))
        log.info("the channel %s was added by a link of %r", response.channel.id, link.user)
        return _html(done_page(response), HTTPStatus.CREATED)

    async def _open(self, token: str) -> ChannelLink:
        try:
            link = open_token(token, self._keys, self._clock.now())
        except LinkInvalid:
            raise Refused(
                HTTPStatus.NOT_FOUND, "This isn't a whole link", "Copy all of it, without a line break.", ASK_AGAIN
            ) from None
        except LinkExpired:
            raise Refused(HTTPStatus.GONE, "This link is over", "A link works for ten minutes.", ASK_AGAIN) from None

        def is_used(session: Session) -> bool:
            with of_tenant(session, link.tenant):
                return self._requests.is_known(session, link.tenant, METHOD, link.id)

        if await self._database.read(is_used):
            raise _used()
        return link


def _ended() -> Refused:
    return Refused(
        HTTPStatus.GONE, "This link is over", "The API key with which it was asked for has ended.", ASK_AGAIN
    )


def _used() -> Refused:
    return Refused(
        HTTPStatus.GONE,
        "This link has been used",
        "Its channel is there: `monitors channels list` shows it. A link makes one channel.",
        ASK_AGAIN,
    )


def _comes_from_elsewhere(request: web.Request, origin: str) -> bool:
    """Whether a browser says that another site's page sent the form. Ours sends `Origin: null`, since its policy is
    to send no referrer; what tells it from others then is Sec-Fetch-Site."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    sender = request.headers.get("Origin", "null")
    known = ("null", origin, f"{request.scheme}://{request.host}")
    return site not in ("same-origin", "none") or sender not in known


async def _form_of(request: web.Request) -> tuple[str, Entries]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This isn't a form", "Open the link in a browser.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return read_form(await request.read())
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The form came too slowly", "Send it again.") from None
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "The form can't be read", "Open the link in a browser.") from None


def _to_tell(error: Exception) -> MeshError:
    """What a person may see of a failure; a fault of ours is logged in full and told by its id."""
    known = error if isinstance(error, MeshError) else storage_error(error)
    return known or MeshError(f"Something went wrong on our side (error {_log_fault(error)}).")


def _log_fault(error: Exception) -> str:
    error_id = secrets.token_hex(4)
    log.error("the page for channels failed, error %s", error_id, exc_info=error)
    return error_id


def _html(page: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(text=page, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return _html(refused.page, refused.status)
    except web.HTTPException as error:
        return _html(notice_page(error.reason, "Open the whole link in a browser."), HTTPStatus(error.status))
    except Exception as error:
        page = notice_page("Something went wrong on our side", f"The log explains error {_log_fault(error)}.")
        return _html(page, HTTPStatus.INTERNAL_SERVER_ERROR)


@asynccontextmanager
async def listening(page: ChannelPage, settings: PageSettings) -> AsyncIterator[str]:
    """Serves until the context is left. Gives the URL that a link begins with. Raises PortTaken."""
    runner = web.AppRunner(
        page.application(),
        access_log=None,
        logger=_protocol_log,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=1.0,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise PortTaken(
                f"{settings.host}:{settings.port} can't be listened on; stop the program that has it, or choose "
                "another port with MONITORS_CHANNEL_PAGE_PORT"
            ) from error
        base = settings.public_url or f"http://{settings.host}:{runner.addresses[0][1]}"
        parts = urlsplit(base)
        page.origin = f"{parts.scheme}://{parts.netloc}"
        yield base + PATH
    finally:
        await runner.cleanup()
