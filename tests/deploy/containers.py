"""The containers of the rendered pods as processes of this machine: the same commands with the same variables."""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.certificates import Authority
from tests.deploy.rendered import ROOT, Object

SECRETS = {
    "MONITORS_SERVICE_TOKEN": "of-a-test-" + "0123456789abcdef" * 2,
    "MONITORS_MASTER_KEYS": "first:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "MONITORS_MCP_STATE_KEY": "state-of-a-test-" + "0123456789abcdef" * 2,
    "MONITORS_BRIDGE_SECRET": "bridge-of-a-test-" + "0123456789abcdef" * 2,
    "MONITORS_KEY_PEPPER": "pepper-of-a-test-" + "0123456789abcdef" * 2,
    "MONITORS_OPERATOR_WEBHOOK": "https://operator.example.org/hook",
    "MONITORS_NOTIFIER_DATABASE_URL": "mysql+pymysql://monitors:x@db/notifier",
    "DATABASE_URL": "mysql+pymysql://monitors:x@db/monitors",
    "IDENTITY_DATABASE_URL": "mysql+pymysql://reader:x@db/users",
    "IDENTITY_REDIS_URL": "redis://:x@redis:6379/1",
    "REDIS_URL": "redis://:x@redis:6379/0",
    "JWT_SECRET": "jwt-of-a-test-" + "0123456789abcdef" * 2,
    "INFLUXDB_TOKEN": "influxdb-of-a-test",
    "INFLUXDB_USERNAME": "reader",
    "INFLUXDB_PASSWORD": "x",
    "SMTP_PASSWORD": "x",
    "SENDGRID_API_KEY": "SG.x",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20of-a-test",
}
"""A value of the right form for everything that a Secret may hold."""
POD_IP = "127.0.0.1"


def variables(container: Object, pod_ip: str = POD_IP) -> dict[str, str]:
    """A container's environment, as the kubelet would make it."""
    found: dict[str, str] = {}
    for variable in container.get("env", ()):
        text = pod_ip if "valueFrom" in variable else variable["value"]
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], text)
    return found


def mount(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Mounts a Secret as the kubelet does, or replaces what is there, all at once: links to files in a folder that is a
    link itself."""
    data = folder / f"..{secrets.token_hex(4)}"
    data.mkdir(parents=True)
    for name, content in contents.items():
        (data / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").replace(folder / "..data")


def put_secrets(folder: Path, values: Mapping[str, str]) -> None:
    """Mounts secrets, or replaces them."""
    mount(folder, {name: text.encode() for name, text in values.items()})


def put_certificate(folder: Path, authority: Authority, *names: str) -> dict[str, str]:
    """Mounts a certificate, or replaces the one that's there. Returns the variables that name its files."""
    certificate, key = authority.make(*names)
    mount(folder, {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.file.read_bytes()})
    return certificate_files(folder)


def certificate_files(folder: Path) -> dict[str, str]:
    """The variables that name the files of a certificate that is mounted there."""
    return {
        "MONITORS_TLS_CERT_FILE": str(folder / "tls.crt"),
        "MONITORS_TLS_KEY_FILE": str(folder / "tls.key"),
        "MONITORS_TLS_CA_FILE": str(folder / "ca.crt"),
    }


def entrypoint(target: str) -> list[str]:
    """What an image starts, before its arguments: that of the target, or of the one that it's made from."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    stages: dict[str, Any] = {}
    for stage in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]:
        words = stage.split()
        own = re.search(r'^ENTRYPOINT \["([\w-]+)"\]', stage, flags=re.MULTILINE)
        stages[words[2]] = [own[1]] if own else stages.get(words[0], [])
    found: list[str] = stages[target]
    return found
