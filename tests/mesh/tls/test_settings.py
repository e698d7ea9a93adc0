"""Settings of TLS: all that it needs, or none."""

from pathlib import Path

import pytest

from monitors.bridge.settings import BadSetting as BadBridgeSetting
from monitors.bridge.settings import load_mesh_settings
from monitors.cli.client import find_credentials
from monitors.cli.failures import Failure
from monitors.mesh.config import BadSetting, load_settings

FILES = ("MONITORS_TLS_CERT_FILE", "MONITORS_TLS_KEY_FILE", "MONITORS_TLS_CA_FILE")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Everything that TLS needs."""
    for name in FILES:
        (tmp_path / name).write_text("PEM")
    return {**{name: str(tmp_path / name) for name in FILES}, "MONITORS_TLS_SERVICES": "rules.a.svc, evaluator.a.svc"}


def test_without_files_there_is_plain_text() -> None:
    assert load_settings({}).tls is None
    assert load_mesh_settings({}).tls is None


def test_the_files_and_the_names_of_services_are_read(environment: dict[str, str], tmp_path: Path) -> None:
    tls = load_settings(environment).tls
    assert tls is not None
    assert tls.services == {"rules.a.svc", "evaluator.a.svc"}
    assert (tls.certificate, tls.key, tls.authority) == tuple(tmp_path / name for name in FILES)
    bridge = load_mesh_settings(environment).tls
    assert bridge is not None
    assert (bridge.certificate, bridge.key, bridge.authority) == tuple(tmp_path / name for name in FILES)


@pytest.mark.parametrize("missing", FILES)
def test_half_of_them_are_refused_by_the_name_of_the_other_half(environment: dict[str, str], missing: str) -> None:
    del environment[missing]
    with pytest.raises(BadSetting, match=missing):
        load_settings(environment)
    with pytest.raises(BadBridgeSetting, match=missing):
        load_mesh_settings(environment)


def test_an_authority_alone_is_refused_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    alone = {"MONITORS_TLS_CA_FILE": str(tmp_path / "ca.pem")}
    together = (
        r"CERT_FILE and MONITORS_TLS_KEY_FILE isn't set; .*MONITORS_TLS_CA_FILE and MONITORS_TLS_SERVICES together"
    )
    with pytest.raises(BadSetting, match=together):
        load_settings(alone)
    with pytest.raises(Failure, match=r"KEY_FILE and MONITORS_TLS_CERT_FILE isn't set; .*_CA_FILE, .* together"):
        find_credentials(alone)


def test_a_file_that_is_not_there_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    environment[FILES[1]] = str(tmp_path / "nowhere")
    with pytest.raises(BadSetting, match=r"MONITORS_TLS_KEY_FILE: there is no file .*nowhere"):
        load_settings(environment)
    with pytest.raises(BadBridgeSetting, match=r"MONITORS_TLS_KEY_FILE: there is no file .*nowhere"):
        load_mesh_settings(environment)


def test_a_server_must_be_told_who_is_a_service(environment: dict[str, str]) -> None:
    del environment["MONITORS_TLS_SERVICES"]
    with pytest.raises(BadSetting, match=r"MONITORS_TLS_SERVICES.*rules\.alerting\.svc"):
        load_settings(environment)
