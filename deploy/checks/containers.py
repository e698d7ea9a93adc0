"""Runs the rendered embedded pod and its bridge as containers, where podman can, on images that `make images` made.

Podman plays pods, not StatefulSets or Services, and asks none of their probes: so the pods are taken out of the
manifest, their claim becomes a volume, and what the kubelet would ask is asked here. They have no network.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from deploy.checks.outcomes import Skipped

START_SECONDS = 60.0
VOLUME = "monitors-check-deploy"
HEALTHZ = "import urllib.request as u; u.urlopen('http://127.0.0.1:9122/healthz', timeout=5)"


def problems(manifest: Path) -> Iterator[str]:
    """What is wrong with the pods of a manifest. Raises Skipped."""
    podman = shutil.which("podman")
    if podman is None:
        raise Skipped("podman isn't installed")
    templates = [
        document["spec"]["template"]
        for document in yaml.safe_load_all(manifest.read_text())
        if document and document["kind"] in ("StatefulSet", "Deployment")
    ]
    for template in templates:
        pod = _playable(template)
        [container] = pod["spec"]["containers"]
        if _run(podman, "image", "exists", container["image"]).returncode:
            raise Skipped(f"podman has no image {container['image']}: make images DOCKER=podman")
        with _playing(podman, pod) as said:
            if said:
                raise Skipped(f"podman can't run pods here: {said.splitlines()[-1]}")
            name = f"{pod['metadata']['name']}-{container['name']}"
            yield from _ill(podman, name, container)


def _playable(template: Mapping[str, Any]) -> dict[str, Any]:
    component = template["metadata"]["labels"]["app.kubernetes.io/component"]
    spec = json.loads(json.dumps(template["spec"]))
    for container in spec["containers"]:
        container["image"] = f"localhost/{container['image']}"
        # Without a network nothing is published.
        del container["ports"]
        if any(mount["name"] == "state" for mount in container["volumeMounts"]):
            spec["volumes"].append({"name": "state", "persistentVolumeClaim": {"claimName": VOLUME}})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"monitors-check-{component}"}, "spec": spec}


@contextmanager
def _playing(podman: str, pod: Mapping[str, Any]) -> Iterator[str]:
    """Plays a pod until the context is left; gives podman's complaint, which is empty if it runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(pod, file)
        file.flush()
        played = _run(podman, "play", "kube", "--network", "none", file.name)
        try:
            yield (played.stderr.strip() or "it didn't say why") if played.returncode else ""
        finally:
            _run(podman, "play", "kube", "--down", file.name)
            _run(podman, "volume", "rm", "--force", VOLUME)


def _ill(podman: str, name: str, container: Mapping[str, Any]) -> Iterator[str]:
    probe = container["readinessProbe"]
    asked = ["-m", "monitors.app.probe", probe["grpc"]["service"]] if "grpc" in probe else ["-c", HEALTHZ]
    deadline = time.monotonic() + START_SECONDS
    while _run(podman, "exec", name, "python", *asked).returncode:
        if time.monotonic() > deadline:
            yield f"{name} isn't ready after {START_SECONDS:.0f} s: {_run(podman, 'logs', name).stdout[-500:]}"
            return
        time.sleep(0.5)
    if not _run(podman, "exec", name, "python", "-c", "open('/written', 'w')").returncode:
        yield f"{name} can write to its root"
    _run(podman, "stop", "--time", "50", name)
    code = _run(podman, "inspect", name, "--format", "{{.State.ExitCode}}").stdout.strip()
    if code != "0":
        yield f"{name} ended with {code} when it was told to"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
