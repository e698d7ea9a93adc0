"""Looks for holes in what is shipped, and for secrets in all that ever was. `make check-security` runs it.

What is found is mended, or let pass where it stands, with the reason beside it.
"""

import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.checks.outcomes import ROOT, Check, outcome, run

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
RULES = HERE / "rules.yaml"
EXAMPLES = HERE / "examples"
PRODUCT = ("services", "mcp_bridge", "protos")
SHIPPED = (("monitors-services",), ("monitors-mcp",), ("monitors-services", "monitors-mcp"))
"""The packages that images are made of."""

Found = tuple[str, int, str]
"""File, line and rule."""


def vulnerable() -> Iterator[str]:
    """bandit has nothing to say about the product."""
    done = run(BIN / "bandit", "--quiet", "--recursive", "--configfile", HERE / "bandit.yaml", *PRODUCT,
               "--exclude", "*_pb2*")  # fmt: skip
    if done.returncode:
        yield done.stdout + done.stderr


def ruled_out() -> Iterator[str]:
    """semgrep finds nothing of rules.yaml in the product, and in its examples exactly what they say."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "found.json"
        done = run(BIN / "semgrep", "scan", "--metrics=off", "--disable-version-check", "--config", RULES, "--json",
                   "--output", report, *PRODUCT, EXAMPLES.relative_to(ROOT))  # fmt: skip
        if not report.exists():
            yield done.stdout + done.stderr
            return
        told = json.loads(report.read_text())
    yield from (error["message"] for error in told["errors"])
    found = {_found(result) for result in told["results"]}
    in_examples = {one for one in found if (ROOT / one[0]).is_relative_to(EXAMPLES)}
    yield from (f"{file}:{line}: {_message_of(rule)} ({rule})" for file, line, rule in sorted(found - in_examples))
    yield from _wrong_about_examples(in_examples)


def _found(result: dict[str, Any]) -> Found:
    return result["path"], result["start"]["line"], result["check_id"].rpartition(".")[2]


def _message_of(rule: str) -> str:
    return str(next(each["message"] for each in _rules() if each["id"] == rule))


def _rules() -> Sequence[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["rules"]
    return rules


def _wrong_about_examples(found: set[Found]) -> Iterator[str]:
    expected = {
        (str(file.relative_to(ROOT)), number + 1, rule)
        for file in EXAMPLES.rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if (named := re.fullmatch(r"\s*# found: ([\w, -]+)", line))
        for rule in named[1].split(", ")
    }
    yield from (f"{file}:{line}: {rule} doesn't find this" for file, line, rule in sorted(expected - found))
    yield from (f"{file}:{line}: {rule} finds this, which isn't said" for file, line, rule in sorted(found - expected))
    with_examples = {rule for _, _, rule in expected}
    yield from (f"{rule['id']} has no example" for rule in _rules() if rule["id"] not in with_examples)


def told() -> Iterator[str]:
    """gitleaks finds no secret in any commit."""
    done = run(BIN / "gitleaks", "git", "--no-banner", "--redact", "--verbose", "--config", HERE / "gitleaks.toml", ".")
    if done.returncode:
        yield done.stdout + done.stderr


def recognised() -> Iterator[str]:
    """gitleaks knows each form of our own keys."""
    forms = {
        "monitors-api-key": f"alk_local_2c8v0m4k7x1d_{_random(43)}_0f3a9b2c",
        "monitors-webhook-secret": f"whsec_{_random(43)}=",
        "monitors-master-key": f"MONITORS_MASTER_KEYS=2026:{_random(43)}=",
        "monitors-service-token": f"MONITORS_SERVICE_TOKEN={os.urandom(32).hex()}",
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings").write_text("\n".join(forms.values()))
        report = Path(folder) / "found.json"
        run(BIN / "gitleaks", "dir", "--no-banner", "--config", HERE / "gitleaks.toml", "--report-path", report, folder)
        found = {one["RuleID"] for one in json.loads(report.read_text())}
    yield from (f"{rule} doesn't find a key of its form" for rule in forms if rule not in found)


def _random(length: int) -> str:
    return os.urandom(length).hex()[:length]


def listed() -> Iterator[str]:
    """The list of what each image holds (CycloneDX) is valid, and names each package once, with its hashes."""
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    for packages in SHIPPED:
        chosen = [word for name in packages for word in ("--package", name)]
        done = run(os.environ.get("UV", "uv"), "export", "--frozen", "--no-dev", "--quiet", "--preview-features",
                   "sbom-export", "--format", "cyclonedx1.5", *chosen)  # fmt: skip
        if done.returncode:
            yield done.stderr
            continue
        what = " and ".join(packages)
        if (error := validator.validate_str(done.stdout)) is not None:
            yield f"the list of {what} isn't CycloneDX: {error}"
        yield from (f"{what}: {problem}" for problem in _incomplete(json.loads(done.stdout)["components"]))


def _incomplete(components: Sequence[dict[str, Any]]) -> Iterator[str]:
    others = [each for each in components if not each["name"].startswith("monitors-")]
    for name, count in Counter((each["name"], each["version"]) for each in others).items():
        if count > 1:
            yield f"{name[0]} {name[1]} is listed {count} times"
    for each in others:
        if not each.get("purl", "").startswith("pkg:pypi/"):
            yield f"{each['name']} isn't from PyPI"
        if not any(place.get("hashes") for place in each.get("externalReferences", ())):
            yield f"{each['name']} has no hash"


CHECKS: Sequence[Check] = (ruled_out, vulnerable, told, recognised, listed)
"""Two at a time, the longest first."""


def main() -> int:
    """Runs every check. Returns the exit code."""
    with ThreadPoolExecutor(2) as pool:
        return 0 if all(list(pool.map(outcome, CHECKS))) else 1


if __name__ == "__main__":
    sys.exit(main())
