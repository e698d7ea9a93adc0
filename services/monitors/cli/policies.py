"""What is shown of what a tenant sets of who is told, and when: the same for silences, mute timings and the like."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from monitors.cli.client import connected, new_request_id
from monitors.cli.documents import Document
from monitors.cli.output import print_json, print_table, say, tell

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class View(Generic[M]):
    """How entries of a kind are called by RPCs, and shown."""

    title: str
    """In the names of methods: `MuteTiming`."""
    titles: str
    """The same of several."""
    document: Callable[[M], Document]
    line: Callable[[M], str]
    """One of them in a line."""
    columns: Sequence[str]
    row: Callable[[M], Sequence[str]]
    nothing: str
    """What is said where there is none."""
    whole: Sequence[str] = ("ID", "NAME")

    @property
    def field(self) -> str:
        """What it's called in messages and documents: `mute_timing`."""
        return _snake(self.title)

    def create(self, request: Any, *, as_json: bool) -> None:
        """Makes one and shows it."""
        self._change("Create", request, as_json=as_json)

    def update(self, request: Any, *, as_json: bool) -> None:
        """Changes one and shows it."""
        self._change("Update", request, as_json=as_json)

    def list(self, request: Any, *, as_json: bool) -> None:
        """Shows a page of them."""
        with connected() as mesh:
            response: Any = mesh.call(getattr(mesh.notifier, f"List{self.titles}"), request)
        found = getattr(response, _snake(self.titles))
        if as_json:
            items = list(map(self.document, found))
            print_json({_snake(self.titles): items, "next_page_token": response.next_page_token})
        elif found:
            print_table(self.columns, list(map(self.row, found)), whole=self.whole)
            if response.next_page_token:
                tell(f"There are more: use a larger --limit, or --page-token {response.next_page_token}")
        else:
            tell(self.nothing)

    def delete(self, request: Any, done: str, *, as_json: bool) -> None:
        """Deletes one, and says what that did."""
        request.request_id = new_request_id()
        with connected() as mesh:
            mesh.call(getattr(mesh.notifier, f"Delete{self.title}"), request)
        if as_json:
            print_json({"id": getattr(request, f"{self.field}_id")})
        else:
            say(done)

    def _change(self, how: str, request: Any, *, as_json: bool) -> None:
        request.request_id = new_request_id()
        with connected() as mesh:
            changed = getattr(mesh.call(getattr(mesh.notifier, f"{how}{self.title}"), request), self.field)
        if as_json:
            print_json({self.field: self.document(changed)})
        else:
            say(self.line(changed))


def _snake(title: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", title).lower()
