"""What every audit is tried with: which calls change something, and what they leave behind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from monitors.mesh.scopes import ANYBODY, SERVICE_ONLY, scope_of

READING = ("Get", "List", "Watch", "Preview", "Explain")


@dataclass(frozen=True)
class Case:
    """A call that changes one resource: its request, and from the answer the kind and the resource's id."""

    request: Any
    kind: str
    id_of: Callable[[Any], str]


def changing(service: ServiceDescriptor) -> list[str]:
    """The methods of a service by which its users change something."""
    return [
        method.name
        for method in service.methods
        if scope_of(f"/{service.full_name}/{method.name}") not in (SERVICE_ONLY, ANYBODY)
        and not method.name.startswith(READING)
    ]


def states(event: Any) -> tuple[Any, Any]:
    """What a resource was before and is after; None where it didn't exist."""
    before, after = (json.loads(text) if text else None for text in (event.before_json, event.after_json))
    return before, after
