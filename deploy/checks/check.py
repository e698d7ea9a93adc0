"""Checks what is in deploy/ as far as that goes without a cluster. `make check-deploy` runs it; `--write` renders anew.

What needs a cluster (admission, rollouts, what a network plugin makes of a policy) stays unchecked, and is said to be.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import yaml

from deploy.checks.containers import problems as problems_of_containers
from deploy.checks.outcomes import ROOT, Check, Skipped, outcome, run

BIN = Path(sys.executable).parent
CHART = ROOT / "deploy" / "helm" / "monitors"
GOLDEN = ROOT / "tests" / "deploy" / "golden"
MANIFESTS = ROOT / "deploy" / "manifests"
ALERTS = CHART / "files" / "alerts.yaml"
MINORS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
"""The versions of Kubernetes that the chart is for."""
OPERATORS = {"Certificate", "ExternalSecret", "PrometheusRule", "ServiceMonitor"}
"""Kinds of others, whose schemas aren't Kubernetes'."""

_PLAIN = ("--skip-tests", "--set", "namespace.create=true")
RENDERED: dict[Path, Sequence[str]] = {
    MANIFESTS / "embedded.yaml": _PLAIN,
    MANIFESTS / "mesh.yaml": (*_PLAIN, "-f", str(CHART / "ci" / "mesh.yaml")),
    **{
        GOLDEN / values.name: ("-f", str(values))
        for values in sorted((CHART / "ci").glob("*.yaml"))
        if values.name != "mesh.yaml"
    },
}
"""What is rendered with which arguments. The first two are for people without Helm."""

REFUSED = {
    "two embedded pods": ("--set", "embedded.replicas=2"),
    "a mesh without a Secret": ("--set", "mode=mesh,influxdb.url=http://influxdb:8086"),
    "a mesh without an InfluxDB": ("--set", "mode=mesh,secrets.existingSecret=monitors"),
    "a secret in plain": ("--set", "settings.SMTP_PASSWORD=hunter2"),
    "a variable that is nobody's": ("--set", "settings.MONITOR_TENANTS=acme"),
    "an unknown value": ("--set", "evaluator.replcas=3"),
    "a page for secrets without TLS": ("--set", "notifier.pageUrl=http://channels.example.org"),
    "an Ingress without TLS": ("--set", "ingress.enabled=true,ingress.host=alerts.example.org"),
    "a store without a key": ("--set", "secrets.external.enabled=true"),
    "TLS without an issuer": (
        "--set",
        "mode=mesh,secrets.existingSecret=monitors,influxdb.url=http://influxdb:8086,tls.enabled=true",
    ),
    "TLS in one pod": ("--set", "tls.enabled=true,tls.certManager.issuerRef.name=ca"),
    "a digest that is none": ("--set", "image.digests.rules=latest"),
}
"""Values that the schema must refuse."""


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs helm on the chart, without anything of whoever runs it."""
    return run(BIN / "helm", arguments[0], *arguments[1:])


def render(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What `helm template` prints."""
    return helm("template", "monitors", CHART, "--namespace", "monitors", *arguments)


def lint() -> Iterator[str]:
    """`helm lint --strict`, over every set of values."""
    for arguments in [(), *(("-f", str(file)) for file in sorted((CHART / "ci").glob("*.yaml")))]:
        done = helm("lint", "--strict", CHART, *arguments)
        if done.returncode:
            yield done.stdout + done.stderr


def rendered() -> Iterator[str]:
    """What is rendered is what lies there; with --write it's made so."""
    for file, arguments in RENDERED.items():
        done = render(arguments)
        if done.returncode:
            yield done.stderr
        elif "--write" in sys.argv:
            file.write_text(done.stdout)
        elif not file.exists() or file.read_text() != done.stdout:
            yield f"{file.relative_to(ROOT)} isn't what the chart renders: look at what `make deploy` changes"


def refused() -> Iterator[str]:
    """The schema refuses what can't work."""
    for what, arguments in REFUSED.items():
        done = render(arguments)
        if done.returncode == 0 or "values don't meet the specifications" not in done.stderr:
            yield f"not refused: {what}"


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Everything that was rendered, each once."""
    seen = set()
    for file in RENDERED:
        for text in file.read_text().split("\n---\n"):
            if text not in seen and (document := yaml.safe_load(text)):
                seen.add(text)
                yield file, document


def valid() -> Iterator[str]:
    """Each document fits the strict schema of each version of Kubernetes."""
    for file, document in documents():
        if document["kind"] in OPERATORS:
            continue
        for minor in MINORS:
            try:
                kubernetes_validate.validate(document, minor, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                yield f"{file.name}, {document['kind']} {document['metadata']['name']}, {minor}: {error}"


def composed() -> Iterator[str]:
    """compose.yaml fits the Compose Specification."""
    resolved = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    try:
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(resolved)).validate()
    except Exception as error:  # The library raises several kinds, none of them its own.
        yield f"deploy/compose.yaml: {error}"


def dockerfile() -> Iterator[str]:
    """hadolint has nothing to say."""
    done = run(BIN / "hadolint", "deploy/Dockerfile")
    if done.returncode:
        yield done.stdout


def hardened() -> Iterator[str]:
    """checkov has nothing to say."""
    # An image is named by version or digest, and neither changes: a node that has it needn't ask (CKV_K8S_15). Digests
    # are the values' to give, as a test of tests/deploy sees (CKV_K8S_43).
    given = [word for file in RENDERED for word in ("-f", str(file))]
    done = run(
        BIN / "checkov", *given, "--framework", "kubernetes", "--skip-check", "CKV_K8S_15,CKV_K8S_43", "--compact",
        "--quiet", "--skip-download",
    )  # fmt: skip
    if done.returncode:
        yield done.stdout + done.stderr


def alerts() -> Iterator[str]:
    """Prometheus takes the alerts, and they fire when they should."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise Skipped("promtool isn't installed: apt-get install prometheus")
    for arguments in (("check", "rules", ALERTS), ("test", "rules", ROOT / "tests" / "deploy" / "alerts.test.yaml")):
        done = run(promtool, *arguments)
        if done.returncode:
            yield done.stdout + done.stderr


def running() -> Iterator[str]:
    """The embedded pod and its bridge run in containers, and end when they're told to."""
    yield from problems_of_containers(MANIFESTS / "embedded.yaml")


FIRST: Sequence[Check] = (lint, rendered, refused)
"""One after the other: the second may render anew what the rest look at."""
THEN: Sequence[Check] = (valid, composed, dockerfile, hardened, alerts, running)
"""Two at a time."""


def main() -> int:
    """Runs every check. Returns the exit code."""
    good = [outcome(check) for check in FIRST]
    with ThreadPoolExecutor(2) as pool:
        good += pool.map(outcome, THEN)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
