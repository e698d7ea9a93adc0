"""Which InfluxDB is read: defaults of the first product, and wrong values refused without showing a secret."""

import pytest

from monitors.evaluator.sources.errors import SourceRefused, SourceUnavailable, refusal
from monitors.evaluator.sources.settings import InfluxSettings, load_influx_settings
from monitors.mesh.config import BadSetting
from monitors.mesh.masking import Secret

URL = "http://influxdb:8086"


def test_without_an_address_there_is_no_influxdb() -> None:
    assert load_influx_settings({"INFLUXDB_TOKEN": "t"}) is None


def test_bucket_and_organisation_are_those_of_the_first_product() -> None:
    assert load_influx_settings({"INFLUXDB_URL": f"{URL}/", "INFLUXDB_TOKEN": "t\n"}) == InfluxSettings(
        URL, Secret("t"), "monitors", "monitors"
    )


def test_the_version_can_be_said() -> None:
    found = load_influx_settings({"INFLUXDB_URL": URL, "INFLUXDB_VERSION": "2.7"})
    assert found is not None
    assert found.major == 2


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("INFLUXDB_URL", "influxdb:8086", "http or https URL"),
        ("INFLUXDB_URL", "http://[::1", "http or https URL"),
        ("INFLUXDB_URL", "http://influxdb:99999", "http or https URL"),
        ("INFLUXDB_URL", "http://influxdb:8086/?db=a", "http or https URL"),
        ("INFLUXDB_URL", "http://a:SECRET@influxdb:8086", "INFLUXDB_PASSWORD"),
        ("INFLUXDB_TOKEN", "SECRET\x00", "characters"),
        ("INFLUXDB_PASSWORD", "SECRETö", "characters"),
        ("INFLUXDB_ORG", " ", "a name"),
        ("INFLUXDB_BUCKET", "a\nb", "a name"),
        ("INFLUXDB_VERSION", "4", "1, 2 or 3"),
        ("INFLUXDB_VERSION", "two", "1, 2 or 3"),
        ("INFLUXDB_TIMEOUT", "0", "1 to 600"),
        ("INFLUXDB_TIMEOUT", "soon", "1 to 600"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_accepted(variable: str, value: str, accepted: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable}.*{accepted}") as caught:
        load_influx_settings({"INFLUXDB_URL": URL, variable: value})
    assert "SECRET" not in str(caught.value)


def test_credentials_are_in_no_repr() -> None:
    shown = repr(InfluxSettings(URL, token=Secret("SECRET"), username="me", password=Secret("SECRET")))
    assert "SECRET" not in shown


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        (401, SourceRefused, "INFLUXDB_TOKEN"),
        (403, SourceRefused, "the right to"),
        (404, SourceRefused, "INFLUXDB_BUCKET"),
        (400, SourceRefused, "status 400"),
        (408, SourceUnavailable, "status 408"),
        (429, SourceUnavailable, "status 429"),
        (503, SourceUnavailable, "status 503"),
    ],
)
def test_an_error_says_what_to_do_and_whether_to_try_again(status: int, kind: type, fix: str) -> None:
    error = refusal(status, "no\x1b[31m\n" + "x" * 1_000, "metrics", "acme")
    assert type(error) is kind
    assert error.status == status
    assert fix in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 400
