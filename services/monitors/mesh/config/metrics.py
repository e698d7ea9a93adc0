"""Where metrics are exported."""

import re
from dataclasses import dataclass

from environs import Env, EnvError

ADDRESS = re.compile(r"(?:\[(?P<bare>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class MetricsSettings:
    """The address at which Prometheus finds the metrics of a process. Port 0 takes a free one."""

    host: str
    port: int


def read_metrics(env: Env) -> MetricsSettings | None:
    """Reads the environment; None if nothing is exported, which costs nothing. Raises EnvError."""
    text = env.str("MONITORS_METRICS_ADDRESS", "")
    if not text:
        return None
    parts = ADDRESS.fullmatch(text)
    if parts is None or int(parts["port"]) > 65535:
        raise EnvError(
            "MONITORS_METRICS_ADDRESS must be host:port, such as 127.0.0.1:9464, or 0.0.0.0:9464 for every network "
            "of the machine"
        )
    return MetricsSettings(parts["bare"] or parts["host"], int(parts["port"]))
