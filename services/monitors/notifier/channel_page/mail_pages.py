"""The pages to which links in mails lead. To look at one does nothing, since programs that check mail follow links:
what is to happen takes a button, or the POST by which mail programs unsubscribe (RFC 8058)."""

from collections.abc import Awaitable, Callable
from html import escape
from http import HTTPStatus

from aiohttp import web

from monitors.notifier.answers import Answers
from monitors.notifier.channel_page.html import button_page, notice_page
from monitors.notifier.mail_links import LINK, UNSUBSCRIBE_PATH, VERIFY_PATH, LinkInvalid, MailLink, MailLinks
from monitors.notifier.model.channel import Channel

Answer = Callable[[str, HTTPStatus], web.Response]
NOT_WHOLE = "This isn't a whole link", "Copy all of it, without a line break."


class MailPages:
    """The handlers. A token is leave enough: whoever has it has got the mail."""

    def __init__(self, answers: Answers, links: MailLinks, answer: Answer) -> None:
        self._answers = answers
        self._links = links
        self._answer = answer

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        for path, show, act in (
            (VERIFY_PATH, self._show_verification, self._verify),
            (UNSUBSCRIBE_PATH, self._show_unsubscribing, self._unsubscribe),
        ):
            app.router.add_get(path, self._opened(path, show))
            app.router.add_post(path, self._opened(path, act))

    def _opened(
        self, path: str, handle: Callable[[str, MailLink], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            token = request.query.get(LINK, "")
            try:
                link = self._links.open(path, token)
            except LinkInvalid:
                return self._answer(notice_page(*NOT_WHOLE), HTTPStatus.NOT_FOUND)
            return await handle(token, link)

        return handler

    async def _show_verification(self, token: str, link: MailLink) -> web.Response:
        found = await self._answers.find(link, to_confirm=True)
        if found is None:
            return self._over()
        page = button_page(
            "May alerts come to you?",
            f"<p>The channel {_names(found.channel)} is to send alerts to <b>{escape(found.address)}</b>.</p>",
            f"verify?{LINK}={escape(token)}",
            "Confirm this address",
            "Don't you want that, or don't know what it is? Then close this page: no alert comes to you.",
        )
        return self._answer(page, HTTPStatus.OK)

    async def _verify(self, token: str, link: MailLink) -> web.Response:
        if not await self._answers.confirm(link):
            return self._over()
        page = notice_page("Confirmed", "Alerts come to this address from now on. You can close this page.")
        return self._answer(page, HTTPStatus.OK)

    def _over(self) -> web.Response:
        page = notice_page(
            "This link has been used, or its time is over",
            "A link works once, within a day, until another code is mailed. If the address isn't confirmed yet, "
            "whoever has set the channel up has a new one mailed: `monitors channels verify NAME --again`.",
        )
        return self._answer(page, HTTPStatus.GONE)

    async def _show_unsubscribing(self, token: str, link: MailLink) -> web.Response:
        found = await self._answers.find(link, to_confirm=False)
        if found is None:
            return self._gone()
        page = button_page(
            "No more alerts?",
            f"<p>The channel {_names(found.channel)} sends alerts to <b>{escape(found.address)}</b>.</p>",
            f"unsubscribe?{LINK}={escape(token)}",
            "Unsubscribe",
            "Whoever has set the channel up hears of it. Other channels go on as before.",
        )
        return self._answer(page, HTTPStatus.OK)

    async def _unsubscribe(self, token: str, link: MailLink) -> web.Response:
        await self._answers.unsubscribe(link)
        return self._gone()

    def _gone(self) -> web.Response:
        page = notice_page("Unsubscribed", "Nothing more comes from this channel to this address.")
        return self._answer(page, HTTPStatus.OK)


def _names(channel: Channel) -> str:
    return f"<b>{escape(channel.name)}</b> of the account <b>{escape(channel.tenant)}</b>"
