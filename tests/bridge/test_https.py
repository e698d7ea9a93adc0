"""The bridge by https: with the certificate that there is, and settings that can't be right."""

import ssl
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from monitors.bridge import https
from monitors.bridge.http import server_config
from monitors.bridge.settings import BadSetting, HttpSettings, load_http_settings
from tests.bridge.oauth_world import served
from tests.certificates import Authority
from tests.harness import LoopThread

CERTIFICATE, KEY = "MONITORS_MCP_TLS_CERT_FILE", "MONITORS_MCP_TLS_KEY_FILE"


def settings_of(certificate: Path, key: Path) -> HttpSettings:
    return load_http_settings({CERTIFICATE: str(certificate), KEY: str(key)}, "127.0.0.1", "0", [])


def test_it_is_served_by_https_with_the_certificate_that_there_is(
    loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "LOOK_SECONDS", 0.0)
    authority, folder = Authority(tmp_path / "authority"), tmp_path / "bridge"
    http = settings_of(*authority.issue(folder, "alerts.example.org"))
    trusting = ssl.create_default_context(cafile=str(authority.file))

    async def ask(port: int) -> tuple[str, bytes]:
        url = f"https://127.0.0.1:{port}/"
        async with httpx2.AsyncClient(verify=trusting) as client, client.stream("GET", url) as answer:
            connection = answer.extensions["network_stream"].get_extra_info("ssl_object")
            return (await answer.aread()).decode(), connection.getpeercert(binary_form=True)

    async def scenario() -> None:
        async with served(server_config(PlainTextResponse("here"), http)) as port:
            said, first = await ask(port)
            assert (http.scheme, said) == ("https", "here")
            certificate, key = authority.make("alerts.example.org")
            (folder / "cert").write_bytes(certificate)
            # Without its key it can't be used yet.
            assert await ask(port) == ("here", first)
            (folder / "key").write_bytes(key)
            assert (await ask(port))[1] != first
            async with httpx2.AsyncClient() as plain:
                with pytest.raises(httpx2.HTTPError):
                    await plain.get(f"http://127.0.0.1:{port}/")

    loop_thread.run(scenario())


def test_files_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "authority").issue(tmp_path / "bridge", "alerts.example.org")
    _, another = Authority(tmp_path / "others").issue(tmp_path / "another", "alerts.example.org")
    with pytest.raises(BadSetting, match=f"{KEY}: isn't set"):
        load_http_settings({CERTIFICATE: str(certificate)}, "127.0.0.1", "", [])
    with pytest.raises(BadSetting, match=f"{CERTIFICATE}: there is no file"):
        settings_of(tmp_path / "nowhere", key)
    with pytest.raises(BadSetting, match="aren't a certificate and its key"):
        server_config(PlainTextResponse("here"), settings_of(certificate, another))
