"""What is secret is masked wherever it's printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.masking import MASK, Secret, SecretUrl, masked_url, without_secrets


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET failed: Authorization: Bearer hunter2hunter2", f"GET failed: Authorization: Bearer {MASK}"),
        ("the key alk_local_7xk2_c2VjcmV0_0badf00d is unknown", f"the key alk_local_{MASK} is unknown"),
        ("signed by whsec_aHVudGVyMmh1bnRlcjI=, sent", f"signed by whsec_{MASK}, sent"),
        ("token eyJhbGciOi.eyJzdWIi.c2ln ended", f"token eyJ{MASK} ended"),
        ("can't reach redis://:hunter2@cache:6379/0, I wait", f"can't reach redis://:{MASK}@cache:6379/0, I wait"),
        ("posting to https://x.test/a?token=hunter2: refused", f"posting to https://x.test/a?token={MASK}: refused"),
        ("to https://hooks.slack.com/services/T0/B0/hunter2", f"to https://hooks.slack.com/services/{MASK}"),
        ("at http://127.0.0.1:8086, and http://[::1]:94.", "at http://127.0.0.1:8086, and http://[::1]:94."),
        ("rule_7xk2 has no bearer of news", "rule_7xk2 has no bearer of news"),
    ],
)  # fmt: skip
def test_a_text_is_shown_without_what_looks_like_a_secret(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_the_signature_of_a_signed_url_is_masked() -> None:
    told = without_secrets("told https://prod.logic.azure.com/workflows/x?api-version=1&sp=run&sig=Zm9vYmFyYmF6 twice")
    assert "Zm9v" not in told
    assert told.startswith("told https://prod.logic.azure.com/workflows/x?api-version=1&sp=run&sig=")
    assert told.endswith(" twice")


def test_a_long_word_in_front_of_a_url_is_no_part_of_its_scheme() -> None:
    word = "x" * 200_000
    assert without_secrets(f"{word} https://ann:hunter2@example.org/ {word}") == (
        f"{word} {masked_url('https://ann:hunter2@example.org/')} {word}"
    )
    assert "hunter2" not in without_secrets(f"{word}https://ann:hunter2@example.org/")
