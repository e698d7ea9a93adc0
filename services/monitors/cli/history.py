"""`monitors history`: the stored points, for other tools."""

from pathlib import Path
from typing import Annotated

import grpc
import typer

from monitors.cli.client import Mesh, connected
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.options import AsJson, read_moment, read_pairs
from monitors.cli.output import print_json, say
from monitors.mesh.times import to_timestamp
from monitors.v1.evaluator_service_pb2 import ExportSeriesRequest

app = typer.Typer(no_args_is_help=True, help="The stored points, for other tools.")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.parquet", help="The file to make.")],
    monitor: Annotated[str, typer.Option("--monitor", metavar="ID", help="The monitor.")],
    measurement: Annotated[str, typer.Option("--measurement", help="Only this measurement.")] = "",
    field: Annotated[str, typer.Option("--field", help="Only this field.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Only with this tag.")] = None,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="`7d` ago, or a time; else all there is.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="`1h` ago, or a time; else now.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write a monitor's points to a Parquet file, exactly as they were taken.

    A row is a point: `time`, `monitor`, `measurement`, `field`, `tags`, and its `value`. Where fields of several types
    are exported, each type has a column: `value_float`, `value_integer`, `value_unsigned`, `value_boolean`,
    `value_string`.
    """
    request = ExportSeriesRequest(
        monitor_id=monitor, measurement=measurement, field=field, tags=read_pairs(tag, "--tag")
    )
    if start:
        request.start_time.CopyFrom(to_timestamp(read_moment(start)))
    if end:
        request.end_time.CopyFrom(to_timestamp(read_moment(end)))
    with connected() as mesh:
        points, series = write_file(mesh, request, file)
    if as_json:
        print_json({"file": str(file), "point_count": points, "series_count": series})
    else:
        say(f"{points:,} points of {series:,} series are in {file}")


def write_file(mesh: Mesh, request: ExportSeriesRequest, file: Path) -> tuple[int, int]:
    """Writes the points; gives how many, and of how many series. Leaves nothing if it fails. Raises Failure."""
    # Here, since no other command should pay for its import.
    from monitors.cli.parquet import write_parquet

    if file.exists():
        raise Failure(f"{file} exists already; name a new file, or remove that one", ExitCode.USAGE)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        with unfinished.open("wb") as opened:
            written = write_parquet(opened, mesh.stream(mesh.evaluator.ExportSeries, request))
        unfinished.rename(file)
    except grpc.RpcError as error:
        raise mesh.failure(error) from None
    except OSError as error:
        raise Failure(f"{file} can't be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return written
