"""Compiles the .proto files when the package is built, so that no generated code is ever committed."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtocHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        from grpc_tools import protoc

        root = Path(self.root)
        protos = sorted(str(path.relative_to(root)) for path in root.glob("monitors/**/*.proto"))
        with as_file(files("grpc_tools") / "_proto") as well_known:
            arguments = ["protoc", f"-I{root}", f"-I{well_known}"]
            arguments += [f"--{out}_out={root}" for out in ("python", "grpc_python", "mypy", "mypy_grpc")]
            if protoc.main([*arguments, *protos]) != 0:
                raise RuntimeError("protoc failed; its messages are above")
        (root / "monitors" / "v1" / "py.typed").touch()
