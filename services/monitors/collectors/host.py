"""Measures this machine. Field names are unique, so that a bare `cpu_percent` says everything."""

import os
import time
from collections.abc import Iterator, Mapping

import psutil

from monitors.collectors.lines import Field, format_line

# Images and memory that are always full or say nothing about the machine's disks.
UNREAL_FILE_SYSTEMS = {"squashfs", "iso9660", "udf", "erofs", "tmpfs", "devtmpfs", "ramfs"}
LOOPBACK = {"lo", "lo0"}

Point = tuple[str, dict[str, str], dict[str, Field]]


class Rates:
    """How fast counters grow, per second. The first look at a counter gives nothing, a counter that fell neither."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Mapping[str, int]]] = {}

    def of(self, name: str, now: float, counters: Mapping[str, int]) -> dict[str, Field]:
        """The rates since the last call of the same name; `now` in seconds."""
        last = self._last.get(name)
        self._last[name] = (now, counters)
        if last is None or now <= last[0]:
            return {}
        then, before = last
        return {
            counter: (value - before[counter]) / (now - then)
            for counter, value in counters.items()
            if counter in before and value >= before[counter]
        }


class HostSampler:
    """Reads this machine's figures. All calls must come from one thread: psutil keeps its baselines per thread."""

    def __init__(self, monitor_id: str = "mon_host") -> None:
        self._monitor_id = monitor_id
        self._rates = Rates()

    def prime(self) -> None:
        """Takes the baselines, so that the first sample has true percentages and rates instead of zeros."""
        for _ in self._points(time.monotonic()):
            continue

    def sample(self) -> list[str]:
        """The machine's figures now, as lines."""
        now = time.time_ns()
        lines = [
            format_line(measurement, {"monitor_id": self._monitor_id, **tags}, fields, now)
            for measurement, tags, fields in self._points(time.monotonic())
        ]
        return [line for line in lines if line]

    def _points(self, now: float) -> Iterator[Point]:
        yield from _cpu()
        yield from _memory()
        yield from _disks()
        yield from self._disk_rates(now)
        yield from self._network_rates(now)
        load1, load5, load15 = psutil.getloadavg()
        yield "load", {}, {"load1": load1, "load5": load5, "load15": load15}
        uptime = time.time() - psutil.boot_time()
        yield "system", {}, {"process_count": len(psutil.pids()), "uptime_seconds": uptime}

    def _disk_rates(self, now: float) -> Iterator[Point]:
        counters = psutil.disk_io_counters()
        if counters is None:
            return
        rates = self._rates.of(
            "disk",
            now,
            {
                "disk_read_bytes_per_second": counters.read_bytes,
                "disk_written_bytes_per_second": counters.write_bytes,
                "disk_reads_per_second": counters.read_count,
                "disk_writes_per_second": counters.write_count,
            },
        )
        yield "disk_io", {}, rates

    def _network_rates(self, now: float) -> Iterator[Point]:
        states = psutil.net_if_stats()
        for interface, counters in psutil.net_io_counters(pernic=True).items():
            if interface in LOOPBACK or interface not in states or not states[interface].isup:
                continue
            rates = self._rates.of(
                f"net {interface}",
                now,
                {
                    "net_received_bytes_per_second": counters.bytes_recv,
                    "net_sent_bytes_per_second": counters.bytes_sent,
                    "net_errors_per_second": counters.errin + counters.errout,
                    "net_drops_per_second": counters.dropin + counters.dropout,
                },
            )
            yield "net", {"interface": interface}, rates


def _cpu() -> Iterator[Point]:
    times = psutil.cpu_times_percent()
    fields: dict[str, Field] = {"cpu_percent": psutil.cpu_percent()}
    for name in ("user", "system", "iowait", "steal"):
        if hasattr(times, name):
            fields[f"cpu_{name}_percent"] = float(getattr(times, name))
    yield "cpu", {}, fields
    for core, percent in enumerate(psutil.cpu_percent(percpu=True)):
        yield "cpu_core", {"core": str(core)}, {"core_percent": percent}


def _memory() -> Iterator[Point]:
    memory = psutil.virtual_memory()
    yield (
        "mem",
        {},
        {
            "memory_percent": float(memory.percent),
            "memory_used_bytes": memory.used,
            "memory_available_bytes": memory.available,
            "memory_total_bytes": memory.total,
        },
    )
    swap = psutil.swap_memory()
    yield (
        "swap",
        {},
        {"swap_percent": float(swap.percent), "swap_used_bytes": swap.used, "swap_total_bytes": swap.total},
    )


def _disks() -> Iterator[Point]:
    for path in _mount_points():
        try:
            usage = psutil.disk_usage(path)
        except OSError:
            # A disk that was just taken out, or one that this account may not look at.
            continue
        yield (
            "disk",
            {"path": path},
            {
                "disk_percent": float(usage.percent),
                "disk_used_bytes": usage.used,
                "disk_free_bytes": usage.free,
                "disk_total_bytes": usage.total,
            },
        )


def _mount_points() -> list[str]:
    """One place for each real file system, `/` always among them (in a container it isn't on a device)."""
    shortest: dict[str, str] = {}
    for partition in psutil.disk_partitions():
        path = partition.mountpoint
        if partition.fstype in UNREAL_FILE_SYSTEMS or not os.path.isdir(path):
            continue
        known = shortest.get(partition.device)
        if known is None or len(path) < len(known):
            shortest[partition.device] = path
    return sorted({*shortest.values(), os.path.abspath(os.sep)})
