"""Flat JSON of texts, exactly as `json.dumps(…, ensure_ascii=False)` writes it, in a fifth of the time.

Every transition writes several.
"""

import json
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from json.encoder import encode_basestring as quote
from typing import Any

_read = json.JSONDecoder().raw_decode


class Texts(Mapping[str, str]):
    """Texts by name as they're remembered, as a JSON object, which is read only if somebody asks for them: what
    becomes of an alert is recorded without a look at its labels."""

    __slots__ = ("_texts", "json")

    def __init__(self, json: str, texts: Mapping[str, str] | None = None) -> None:
        self.json = json
        self._texts = texts

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> "Texts":
        """The same texts, written once for all that remember them."""
        return cls(mapping_json(texts), texts)

    def _known(self) -> Mapping[str, str]:
        if self._texts is None:
            self._texts = read_json(self.json) if self.json != "{}" else {}
        return self._texts

    def items(self) -> ItemsView[str, str]:
        """As any mapping's, without its way through this class for each."""
        return self._known().items()

    def __getitem__(self, name: str) -> str:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return f"Texts({self.json!r})"


def mapping_json(texts: Mapping[str, str]) -> str:
    """A JSON object."""
    if type(texts) is Texts:
        return texts.json
    if not texts:
        return "{}"
    return "{" + ", ".join([f"{quote(name)}: {quote(text)}" for name, text in texts.items()]) + "}"


def list_json(texts: Iterable[str]) -> str:
    """A JSON array."""
    return "[" + ", ".join([quote(text) for text in texts]) + "]"


def instance_json(rule_id: str, monitor_id: str, group: Mapping[str, str]) -> str:
    """What identifies an instance: `["rule_…", "monitor", [["tag", "value"], …]]`, the tags sorted."""
    pairs = ", ".join([f"[{quote(name)}, {quote(text)}]" for name, text in sorted(group.items())])
    return f"[{quote(rule_id)}, {quote(monitor_id)}, [{pairs}]]"


def read_json(text: str) -> Any:
    """What one of these has written."""
    return _read(text)[0]
