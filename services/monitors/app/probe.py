"""`python -m monitors.app.probe [NAME]`: asks for health by gRPC, for orchestrators that can't, such as Docker.

The name is a service's, such as `monitors.v1.RuleService`, or `alive`, which says that the process is. Exit code 0 if
it's SERVING, 1 if not.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 5.0


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Asks once, prints what was answered, and returns the exit code."""
    options = _parser(environment).parse_args(arguments)
    try:
        with grpc.insecure_channel(options.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(service=options.name), timeout=SECONDS)
    except grpc.RpcError as error:
        print(f"{options.address}: {error.code().name}", file=sys.stderr)  # noqa: T201
        return 1
    said = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{options.address}: {said}")  # noqa: T201
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monitors.app.probe", description="Asks a service for its health.")
    port = environment.get("MONITORS_HEALTH_PORT") or environment.get("MONITORS_GRPC_PORT") or 50051
    here = f"127.0.0.1:{port}"
    parser.add_argument("name", nargs="?", default="", help="of the service; `alive` for the process")
    parser.add_argument("--address", default=here, help=f"where it answers gRPC (default {here})")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
