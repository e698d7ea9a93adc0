"""The document as the server hands it out: small, whole, and named by list_alerts alone."""

import re
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextResourceContents

from tests.bridge.conftest import Tools

URI = "ui://alerts"


async def read(client: Client) -> TextResourceContents:
    (content,) = (await client.read_resource(URI)).contents
    assert isinstance(content, TextResourceContents)
    return content


@pytest.fixture
def document(tools: Tools) -> str:
    return tools.with_client(read).text


def test_it_is_served_as_an_app(tools_of_both_eras: Tools) -> None:
    content = tools_of_both_eras.with_client(read)
    assert content.mime_type == "text/html;profile=mcp-app"
    assert content.text.startswith("<!doctype html>")


def test_it_is_small(document: str) -> None:
    assert len(document.encode()) <= 15 * 1024


def test_it_is_whole_and_refers_to_nothing_outside(document: str) -> None:
    for empty in ("<style></style>", "></script>"):
        assert empty not in document
    assert not re.findall(
        r"\w+://|\burl\(|@import|\bimport\b|\bsrc=|\bhref=|\bfetch\b|XMLHttpRequest|WebSocket", document
    )


def test_it_makes_no_markup_and_no_code_of_texts(document: str) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|createContextualFragment|\beval\b|Function\("
    )
    assert not re.findall(forbidden, document)
    assert not re.findall(r"\bon\w+=[\"']", document)


def test_list_alerts_alone_names_it(tools_of_both_eras: Tools) -> None:
    async def named(client: Client) -> dict[str, Any]:
        return {tool.name: tool.meta for tool in (await client.list_tools()).tools if tool.meta}

    assert tools_of_both_eras.with_client(named) == {"list_alerts": {"ui": {"resourceUri": URI}}}


def test_hosts_learn_that_the_server_has_apps(tools: Tools) -> None:
    async def extensions(client: Client) -> Any:
        assert client.server_capabilities is not None
        return client.server_capabilities.extensions

    assert "io.modelcontextprotocol/ui" in tools.with_client(extensions)
