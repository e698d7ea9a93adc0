"""Recognisable secrets in every place that takes one, a mesh that lives through successes and failures with them, and
then a search of all that it has written, answered, stored and exported: none stands anywhere in clear text."""

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import jwt
import pytest

from monitors.bridge.oauth.settings import load_oauth_settings
from monitors.bridge.settings import load_mesh_settings
from monitors.evaluator.sources.settings import load_influx_settings
from monitors.mesh.config import load_settings
from monitors.mesh.times import now_nanos
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.monitor_pb2 import FieldType, MonitorField
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests import forked
from tests.bridge.conftest import HttpBridge
from tests.bridge.raw import http_call
from tests.browser import fetch
from tests.canaries import Canaries, canary, stored
from tests.collector import environment, spans
from tests.harness import LoopThread
from tests.notifier.test_email import Mailbox, listening
from tests.processes import BIN, receiver, wait_for
from tests.served import ServedMesh, ServedProcess, free_port
from tests.servers.backends import ON_SERVERS, database_url, everything_in
from tests.servers.mariadb import PASSWORD

pytestmark = pytest.mark.process
MONITORS = str(BIN / "monitors")
BRIDGE = {"MONITORS_MCP_ISSUER": "https://id.example.org", "MONITORS_MCP_RESOURCE_URL": "https://example.org/mcp"}


@contextmanager
def echoing(status: int) -> Iterator[str]:
    """An endpoint that refuses everything, and repeats in its answer what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"refused: http://{self.headers['Host']}{self.path} {unquote(self.path)}".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings(found: Canaries, smtp_port: int) -> dict[str, str]:
    """Every setting that takes a secret. What is behind Redis, InfluxDB and the mail server refuses."""
    key = canary("masterkey")[:32]
    found.secrets["masterkey"] = key
    return {
        "MONITORS_SERVICE_TOKEN": found.new("service"),
        "MONITORS_BRIDGE_SECRET": found.new("bridge"),
        "MONITORS_KEY_PEPPER": found.new("pepper"),
        "MONITORS_MASTER_KEYS": f"first:{base64.b64encode(key.encode()).decode()}",
        "MONITORS_ALLOW_LOCAL_TARGETS": "true",
        "JWT_SECRET": found.new("jwt"),
        "IDENTITY_REDIS_URL": f"redis://:{found.new('identityredis')}@127.0.0.1:{free_port()}/0",
        "IDENTITY_DATABASE_URL": f"mysql+pymysql://ann:{found.new('identitydb')}@127.0.0.1:{free_port()}/users",
        "REDIS_URL": f"redis://:{found.new('redis')}@127.0.0.1:{free_port()}/0",
        "INFLUXDB_URL": f"http://127.0.0.1:{free_port()}",
        "INFLUXDB_TOKEN": found.new("influx"),
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_SECURITY": "none",
        "SMTP_USERNAME": "monitors",
        "SMTP_PASSWORD": found.new("smtp"),
    }


class Life:
    """What people do to the mesh; their terminals are searched too."""

    def __init__(self, mesh: ServedMesh, found: Canaries) -> None:
        self._mesh, self._found = mesh, found

    def command(
        self,
        *arguments: str,
        of: str = "notifier",
        shows: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> str:
        """Runs `monitors …`. With `shows` its output is where a secret belongs, this once."""
        service: ServedProcess = getattr(self._mesh, of)
        variables = {**self._mesh.client_environment(service), **(changes or {})}
        done = forked.run(*arguments, environment=variables)
        if not shows:
            self._found.see(f"`monitors {' '.join(arguments[:2])}`", done.stdout + done.stderr)
        return done.stdout

    def make_channels(self, refused: str, taken: str) -> None:
        """Channels of each kind with secrets, that work and that don't."""
        new = self._found.new
        signing = f"whsec_{base64.b64encode(new('whsec').encode()).decode()}"
        self.command("channels", "create", "refused", "--webhook", f"{refused}/x?token={new('token')}", "--default")
        self.command("channels", "create", "taken", "--webhook", f"{taken}?token={new('taken')}", "--secret", signing)
        self.command("channels", "create", "away", "--webhook", f"http://127.0.0.1:1/?key={new('away')}")
        self.command("channels", "create", "slack", "--slack", f"https://hooks.slack.com/services/T/B/{new('slack')}")
        discord = f"https://discord.com/api/webhooks/1/{new('discord')}"
        teams = f"https://a.westeurope.logic.azure.com/workflows/x?sig={new('teams')}"
        self.command("channels", "create", "discord", "--discord", discord)
        self.command("channels", "create", "teams", "--teams", teams)
        self._found.secrets["duty"] = new("duty")[:32]
        self.command("channels", "create", "duty", "--pagerduty", self._found.secrets["duty"])
        self.command("channels", "create", "phone", "--apprise", f"gotify://127.0.0.1:1/{new('phone')}", "--default")
        self.command("channels", "test", "phone")
        self.command("channels", "create", "mail", "--email", "ann@example.org")
        self.command("channels", "create", "wrong", "--webhook", f"ftp://ann:{new('wrong')}@example.org/")
        self.command("channels", "create", "odd", "--webhook", f"https://x/{new('odd')}", "--secret", new("odder"))
        made = self.command("channels", "create", "made", "--webhook", f"{taken}", shows=True)
        match = re.search(r"whsec_(\S+)", made)
        assert match
        self._found.secrets["made"] = match[1]

    def use_keys(self) -> None:
        """Keys that are good, wrong and gone."""
        key = self.command("keys", "create", "--title", "x", of="rules", shows=True).strip()
        self._found.secrets["key"] = key.split("_", 3)[3].rpartition("_")[0]
        self._found.secrets["localkey"] = self._mesh.key().split("_", 3)[3].rpartition("_")[0]
        self.command("rules", "list", of="rules", changes={"MONITORS_KEY": key})
        self.command("channels", "list", changes={"MONITORS_KEY": key})
        for wrong in (f"alk_local_x_{self._found.new('wrongkey')}_00000000", f"eyJh.{self._found.new('wrongjwt')}.x"):
            self.command("rules", "list", of="rules", changes={"MONITORS_KEY": wrong})
            self.command("channels", "list", changes={"MONITORS_KEY": wrong})
        claims = {"user_id": "42", "session_id": self._found.new("session"), "tier": "pro", "permissions": []}
        now = int(time.time())
        token = jwt.encode(claims | {"iat": now, "exp": now + 600}, self._found.secrets["jwt"], "HS256")
        self._found.secrets["token"] = token.rpartition(".")[2]
        self.command("rules", "list", of="rules", changes={"MONITORS_KEY": token})
        self.command("channels", "list", changes={"MONITORS_KEY": token})
        self.command("keys", "revoke", f"key_{key.split('_')[2]}", "--yes", of="rules")
        self.command("rules", "list", of="rules", changes={"MONITORS_KEY": key})

    def use_the_page(self) -> None:
        """A channel is added by a link, after something wrong was entered."""
        address = self.command("channels", "link", "page", of="rules", shows=True).strip()
        self._found.secrets["link"] = address.rpartition(".")[2]
        wrong, right = self._found.new("pagewrong"), self._found.new("page")
        page = fetch(address)
        refused = page.submit({"kind": "slack", "slack.webhook_url": f"https://example.org/{wrong}"})
        self._found.see("the page", refused.html.replace(address.rpartition(".")[2], ""))
        done = page.submit({"kind": "slack", "slack.webhook_url": f"https://hooks.slack.com/services/T/B/{right}"})
        assert (refused.status, done.status) == (422, 201)
        self._found.see("the page", done.html)
        self._found.see("the page", fetch(address).html)

    def use_the_bridge(self) -> None:
        """Claude calls through the bridge, with a key that is good and one that isn't."""
        known = self._mesh.client_environment(self._mesh.rules)
        keys = {"MONITORS_MCP_STATE_KEY": self._found.new("state"), "MONITORS_BRIDGE_SECRET": ""}
        for changes in ({}, {"MONITORS_KEY": f"alk_local_x_{self._found.new('bridgewrong')}_00000000"}):
            bridge = HttpBridge(**{**known, **keys, **changes})
            try:
                answer = http_call(bridge.url, "list_alert_rules", '{"include": "monitors"}')
                self._found.see("the bridge", json.dumps(answer) + bridge.output)
            finally:
                bridge.close()

    def raise_an_alert(self) -> None:
        """An alert is told to the channels that refuse and those that take."""
        with self._mesh.channel(self._mesh.rules) as channel:
            stub = RuleServiceStub(channel)
            field_ = MonitorField(measurement="cpu", field="cpu", type=FieldType.FIELD_TYPE_FLOAT)
            own: Any = {"metadata": self._mesh.metadata(), "timeout": 20}
            stub.RegisterMonitor(pb.RegisterMonitorRequest(monitor_id="mon_host", fields=[field_]), **own)
            notify = ["refused", "taken", "away", "mail"]
            rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU", condition_text="cpu > 1", notify=notify)
            made = stub.CreateRule(pb.CreateRuleRequest(rule=rule), **own).rule
            now = now_nanos()
            transition = mesh_pb2.Transition(
                tenant_id="local", rule_id=made.id, monitor_id="mon_host", episode=now, time_nanos=now,
                kind=alert_pb2.ALERT_EVENT_KIND_FIRING, traceparent=f"00-{'7' * 32}-{'7' * 16}-01",
            )  # fmt: skip
            token = self._mesh.environment["MONITORS_SERVICE_TOKEN"]
            mesh: Any = {"metadata": (("authorization", f"Bearer {token}"),), "timeout": 20}
            stub.RecordTransitions(pb.RecordTransitionsRequest(transitions=[transition]), **mesh)
            for wrong in (pb.GetAlertRequest(alert_id="none"), pb.LeaseShardsRequest()):
                with pytest.raises(grpc.RpcError) as refused:
                    getattr(stub, type(wrong).__name__.removesuffix("Request"))(wrong, **own)
                self._found.see("errors", repr(refused.value))

    def look_at_everything(self) -> None:
        """All that shows something."""
        for name in ("refused", "taken", "away", "mail"):
            self.command("channels", "test", name)
        told = ("deliveries", "list", "--attempts", "--json")

        def tried() -> bool:
            deliveries = json.loads(self.command(*told))["deliveries"]
            # The mail server refuses the password: no code goes out, so that nothing else does either.
            return {one["channel"] for one in deliveries if one["attempts"]} == {"refused", "taken", "away"}

        wait_for(tried, "the attempts", 60)
        for arguments in (("channels", "list", "--json"), ("channels", "list"), ("audit", "--json"), ("audit",)):
            self.command(*arguments)
        self.command("channels", "delete", "away", "--yes")
        for arguments in (("audit", "--json"), ("keys", "list", "--json"), ("alerts", "list", "--json"), ("status",)):
            self.command(*arguments, of="rules")
        for arguments in (("secrets", "status"), ("secrets", "rotate", "--json")):
            self.command(*arguments, changes=self._mesh.environment)


def test_no_secret_leaves_its_place(loop_thread: LoopThread, tmp_path: Path) -> None:
    found = Canaries()
    with (
        receiver() as hook,
        receiver() as collector,
        echoing(403) as refused,
        loop_thread.opened(listening(Mailbox())) as smtp_port,
    ):
        rules, notifier = tmp_path / "rules.db", tmp_path / "notifier.db"
        variables = {
            **environment(collector, "always_on", OTEL_EXPORTER_OTLP_HEADERS=f"x-key={found.new('collector')}"),
            **settings(found, smtp_port),
            "DATABASE_URL": database_url(rules),
            "MONITORS_NOTIFIER_DATABASE_URL": database_url(notifier, "notifier"),
        }
        if ON_SERVERS:
            found.secrets["database"] = PASSWORD
        for load in (load_settings, load_influx_settings, load_mesh_settings, load_oauth_settings):
            bridge = {"MONITORS_KEY": found.new("bridgekey"), **BRIDGE}
            found.see("repr of the settings", repr(load({**variables, **bridge, "MONITORS_HOME": str(tmp_path)})))
        mesh = ServedMesh(tmp_path, variables)
        try:
            mesh.start()
            life = Life(mesh, found)
            life.make_channels(refused, hook.url)
            life.use_keys()
            life.use_the_page()
            life.raise_an_alert()
            life.use_the_bridge()
            life.look_at_everything()
            wait_for(lambda: any(one.name == "send webhook" for one in spans(collector)), "the traces", 30)
        finally:
            mesh.stop()
        assert hook.deliveries
        for process in mesh.processes:
            found.see(f"log of {process.service}", process.text)
        found.see("traces", b"".join(delivery.body for delivery in collector.deliveries))
        for name, content in stored(tmp_path):
            found.see(name, content)
        found.see("rules.db", everything_in(rules))
        found.see("notifier.db", everything_in(notifier, "notifier"))
    assert b"can't be" in found.seen["log of rules"] + found.seen["log of evaluator"] + found.seen["log of notifier"]
    assert {"rules.db", "notifier.db", "traces"} <= found.seen.keys()
    assert found.found() == []


def broken(found: Canaries) -> Mapping[str, dict[str, str]]:
    """Settings that end a service at its start, each with a secret in it."""
    new = found.new
    return {
        "a colon in the password": {"DATABASE_URL": f"mysql+pymysql://ann:{new('c')}:{new('d')}@127.0.0.1:x/m"},
        "a slash in the password": {"DATABASE_URL": f"mysql+pymysql://ann:{new('e')}/{new('f')}@127.0.0.1/m"},
        "no such database": {"DATABASE_URL": f"oracle://ann:{new('g')}@127.0.0.1/m"},
        "no URL": {"DATABASE_URL": new("h")},
        "no Redis": {"REDIS_URL": f"http://:{new('i')}@127.0.0.1:99999/"},
        "no key": {"MONITORS_MASTER_KEYS": new("j")},
        "too short a secret": {"MONITORS_BRIDGE_SECRET": new("k")[:24]},
        "no InfluxDB": {"INFLUXDB_URL": f"ftp://ann:{new('l')}@127.0.0.1:8086"},
    }


def test_a_wrong_setting_is_told_without_what_is_secret_in_it(tmp_path: Path) -> None:
    found = Canaries()
    for name, variables in broken(found).items():
        service = "evaluator" if "INFLUXDB_URL" in variables else "rules"
        home = {"MONITORS_HOME": str(tmp_path / name.replace(" ", "-")), "MONITORS_GRPC_PORT": str(free_port())}
        done = subprocess.run(
            [MONITORS, "serve", service],
            env={
                "PATH": "/usr/bin:/bin", "MONITORS_SERVICE_TOKEN": "x" * 32,
                "MONITORS_RULES_ADDRESS": "127.0.0.1:1", **home, **variables,
            },
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode != 0, name
        assert next(iter(variables)) in done.stderr or "database" in done.stderr, (name, done.stderr)
        assert "Traceback" not in done.stderr, (name, done.stderr)
        found.see(name, done.stdout + done.stderr)
    found.secrets["k"] = found.secrets["k"][:24]
    assert found.found() == []


@pytest.mark.parametrize("place", ["127.0.0.1:1", "host.invalid"])
def test_who_waits_for_a_database_says_so_without_its_password(tmp_path: Path, place: str) -> None:
    found = Canaries()
    settings = {
        "MONITORS_HOME": str(tmp_path / "home"),
        "MONITORS_GRPC_PORT": str(free_port()),
        "MONITORS_SERVICE_TOKEN": "x" * 32,
        "DATABASE_URL": f"mysql+pymysql://ann:{found.new('a')}@{place}/monitors",
    }
    process = subprocess.Popen(
        [MONITORS, "serve", "rules"], env={"PATH": "/usr/bin:/bin", **settings},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "database" in line)
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    found.see("log", said + rest)
    assert "Traceback" not in said + rest
    assert found.found() == []
