"""What the chart renders, read from the files that `make check-deploy` holds to be current."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "monitors"
FILES = {
    file.stem: file
    for folder in (ROOT / "deploy" / "manifests", Path(__file__).parent / "golden")
    for file in sorted(folder.glob("*.yaml"))
}
"""By the name of the set of values. `embedded` is what is rendered without any."""
MESHES = sorted(name for name in FILES if name.startswith("mesh"))
Object = Mapping[str, Any]


@cache
def objects(name: str) -> Sequence[Object]:
    """All that a set renders."""
    return [document for document in yaml.safe_load_all(FILES[name].read_text()) if document]


def of_kind(name: str, *kinds: str) -> dict[str, Object]:
    """What a set renders of some kinds, by name."""
    return {each["metadata"]["name"]: each for each in objects(name) if each["kind"] in kinds}


def pods(name: str) -> Iterator[tuple[str, Object]]:
    """Every pod that there would be, as `kind/name` with its labels and specification."""
    for each in objects(name):
        label = f"{name}: {each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield label, each
        elif each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield label, each["spec"]["template"]


def pod_of(name: str, component: str) -> Object:
    """The pod of a component."""
    for _, pod in pods(name):
        if component_of(pod) == component:
            return pod
    raise LookupError(f"{name} has no {component}")


def component_of(pod: Object) -> str:
    """Which part of the mesh it is."""
    component: str = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    return component


def secrets_of(pod: Object) -> set[str]:
    """The variables that are mounted as files."""
    volumes = [volume["projected"] for volume in pod["spec"].get("volumes", ()) if volume["name"] == "secrets"]
    return {item["path"] for volume in volumes for source in volume["sources"] for item in source["secret"]["items"]}
