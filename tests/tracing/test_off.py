"""Where no collector is named, tracing is free: nothing of it is loaded, and nothing stands in anybody's way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

OPENED = """
import asyncio, gc, json, sys
from monitors.app.home import held_home
from monitors.app.mesh import open_mesh
from monitors.app.tracing import tracing
from monitors.mesh.config import load_settings
from monitors.mesh.tracing import Tracing

settings = load_settings()

async def main():
    with held_home(settings.home):
        async with open_mesh(settings, asyncio.Event(), print) as mesh:
            await mesh.evaluator.ready.wait()
            gc.unfreeze()
            makers = [type(each).__name__ for each in gc.get_objects() if type(each).__module__ in MAKERS]
            sdk = [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
            return makers, sdk

MAKERS = ("monitors.mesh.tracing", "monitors.evaluator.spans", "monitors.notifier.spans")
with tracing(settings.tracing, "monitors"):
    makers, sdk = asyncio.run(main())
print(json.dumps([sorted(set(makers)), len(sdk)]))
"""


def opened(home: Path, **variables: str) -> tuple[list[str], int]:
    """What makes spans in a whole mesh, and how many modules of the SDK are loaded."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MONITORS_", "OTEL_"))}
    environment = {
        **inherited, "MONITORS_HOME": str(home), "MONITORS_GRPC_PORT": "0", "MONITORS_HTTP_PORT": "0", **variables,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", OPENED], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    makers, sdk = json.loads(done.stdout.splitlines()[-1])
    return makers, sdk


def test_no_interceptor_stands_in_the_way_and_no_sdk_is_loaded_unless_a_collector_is_named(tmp_path: Path) -> None:
    assert opened(tmp_path / "off") == ([], 0)
    makers, sdk = opened(tmp_path / "on", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "Tracing" in makers
    assert sdk > 0
