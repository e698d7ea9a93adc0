"""Every variable that a container is given is one that its program reads, and together they are good settings."""

import json
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

from monitors.bridge import settings as bridge
from monitors.bridge.oauth.settings import load_oauth_settings
from monitors.bridge.tracing import load_tracing_settings
from monitors.evaluator.sources.settings import load_influx_settings
from monitors.mesh.config import load_settings
from monitors.mesh.secret_files import take_secret_files
from tests.certificates import Authority
from tests.deploy.containers import SECRETS, put_certificate, put_secrets, variables
from tests.deploy.rendered import CHART, FILES, component_of, pods, secrets_of

OF_THE_POD = {"POD_IP"}
"""Put into other variables by Kubernetes itself."""
OTHER_WAY = ("SENDGRID_API_KEY", "SMTP_HOST", "SENDGRID_FROM")


class Recording(dict[str, str]):
    """An environment that notes what it's asked for."""

    def __init__(self, given: dict[str, str]) -> None:
        super().__init__(given)
        self.read: set[str] = set()

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.read.add(key)
        return super().get(key, default)


def _load(component: str, environment: Recording) -> None:
    if component == "bridge":
        bridge.take_secret_files(environment)
        bridge.load_mesh_settings(environment)
        bridge.load_http_settings(environment, "0.0.0.0", "", [])
        load_oauth_settings(environment)
        load_tracing_settings(environment)
    else:
        take_secret_files(environment)
        load_settings(environment)
        load_influx_settings(environment)


def _by_either_mailer(given: Mapping[str, str], folder: Path, secrets: Set[str]) -> Iterator[Recording]:
    """Mail goes by a mail server or by SendGrid; who sets both is refused."""
    for mailer, other, sender in (("SMTP_HOST", "SENDGRID_API_KEY", "SMTP_FROM"), OTHER_WAY):
        environment = Recording({name: value for name, value in given.items() if name != other})
        environment.update({mailer: SECRETS.get(mailer, "mail.example.org"), sender: "monitors@example.org"})
        if secrets:
            put_secrets(folder / mailer, {name: SECRETS[name] for name in secrets if name != other})
            environment["MONITORS_SECRETS_DIR"] = str(folder / mailer)
        yield environment


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_container_is_given_nothing_but_what_its_program_reads_and_takes(name: str, tmp_path: Path) -> None:
    unread = {}
    for label, pod in pods(name):
        component, secrets = component_of(pod), secrets_of(pod)
        if component == "test":
            continue
        [container] = pod["spec"]["containers"]
        given, read = variables(container), set[str]()
        if "MONITORS_TLS_CERT_FILE" in given:
            given |= put_certificate(tmp_path / component / "tls", Authority(tmp_path / component / "ca"), component)
        for environment in _by_either_mailer(given, tmp_path / component, secrets):
            _load(component, environment)
            read |= environment.read
        unread[label] = ({*given} | secrets) - OF_THE_POD - read
    assert {label: names for label, names in unread.items() if names} == {}


def test_what_the_services_read_can_be_given_to_the_chart_and_what_is_secret_only_as_a_secret() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    names = schema["settings"]["propertyNames"]
    mounted = {name for each in FILES for _, pod in pods(each) for name in secrets_of(pod)}
    every_way = Recording({"INFLUXDB_URL": "http://influxdb:8086", "SMTP_HOST": "mail.example.org"})
    _load("rules", every_way)
    takes = {name for name in every_way.read if re.search(names["pattern"], name)}
    takes -= {name for name in takes if re.search(names["not"]["pattern"], name)}
    assert every_way.read - takes - mounted == set()
    # A user's name at InfluxDB or the mail server is no secret, but lies beside its password.
    assert takes & mounted == {"INFLUXDB_USERNAME"}


def test_the_settings_of_the_bridge_that_the_chart_takes_are_those_that_it_reads() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    of_bridge = set(schema["bridge"]["properties"]["settings"]["propertyNames"]["enum"])
    _load("bridge", asked := Recording({}))
    assert of_bridge - asked.read == set()
