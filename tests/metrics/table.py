"""The table of metrics in docs/metrics.md, and what it has to be for what is exported."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
UNITS = ("seconds", "bytes")
OF_A_LIBRARY = "process_"
"""What every Prometheus client exports of its process under the same names."""
ROW = re.compile(r"^\| `(?P<name>\w+)` \|.*\|$", re.MULTILINE)


def families(text: str) -> list[Metric]:
    """The families of a page of metrics, but for those that each process of anybody's exports."""
    found = text_string_to_metric_families(text)
    return [family for family in found if not family.name.startswith(OF_A_LIBRARY)]


def rows(exported: Iterable[Metric]) -> list[str]:
    """A row for each family, by name: name, type, unit, labels and meaning. A family may come from several services."""
    known, labels = dict[str, Metric](), defaultdict[str, set[str]](set)
    for family in exported:
        name = family.name + ("_total" if family.type == "counter" else "")
        known[name] = family
        labels[name] |= {label for sample in family.samples for label in sample.labels} - {"le"}
    return [_row(name, family, sorted(labels[name])) for name, family in sorted(known.items())]


def _row(name: str, family: Metric, labels: Sequence[str]) -> str:
    unit = next((unit for unit in UNITS if family.name.endswith(f"_{unit}")), "")
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {family.type} | {unit} | {named} | {family.documentation} |"


def documented() -> list[str]:
    """The rows of the page."""
    return [found[0] for found in ROW.finditer(PAGE.read_text())]
