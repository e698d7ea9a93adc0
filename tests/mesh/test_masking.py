"""What is secret is masked wherever it's printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.masking import MASK, Secret, SecretUrl, masked_url


def test_a_secret_never_prints_itself() -> None:
    secret = Secret("https://hooks.slack.com/services/T/B/canary")
    assert "canary" not in f"{secret!r} {secret} {[secret]} {secret!s}"
    assert secret.reveal().endswith("canary")
    assert (bool(Secret("")), bool(secret)) == (False, True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://ann:hunter2@db:3306/monitors", f"mysql+pymysql://ann:{MASK}@db:3306/monitors"),
        ("redis://:hunter2@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("redis://:hun@ter2@cache", f"redis://:{MASK}@cache"),
        ("mysql://ann:hun/ter2@db/monitors", f"mysql://ann:{MASK}@db/monitors"),
        ("mysql://ann:hunter2", f"mysql://ann:{MASK}"),
        ("https://influx:8086/query?db=m&p=1&token=hunter2", f"https://influx:8086/query?db=m&p=1&token={MASK}"),
        ("mysql://ann@db/m?ssl_key_password=hunter2&a=b", f"mysql://ann@db/m?ssl_key_password={MASK}&a=b"),
        ("http://influx:8086", "http://influx:8086"),
        ("http://influx:8086/", "http://influx:8086/"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("sqlite:////var/lib/monitors/rules.db", "sqlite:////var/lib/monitors/rules.db"),
        ("mysql://ann@db/m", "mysql://ann@db/m"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked_url(url) == shown
    secret = SecretUrl(url)
    assert f"{secret}|{secret!r}|{secret!s}|{[secret]}" == f"{shown}|{shown!r}|{shown}|[{shown!r}]"
    assert secret == url
    assert secret.removeprefix("-") == url


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["mysql+pymysql", "redis", "https"]))
def test_no_password_whatever_is_shown(password: str, scheme: str) -> None:
    begin, end = f"{scheme}://ann:", "@host:1/x"
    shown = masked_url(f"{begin}{password}{end}")
    assert shown.startswith(f"{begin}{MASK}@")
    assert shown.endswith(end)
    assert len(shown) == len(begin) + len(MASK) + len(end)
