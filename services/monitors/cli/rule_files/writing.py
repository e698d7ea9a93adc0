"""Writes rules as a file: only what differs from the defaults, in a stable order."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from textwrap import indent
from typing import Any

import yaml

from monitors.cli.rule_files.fields import BY_NAME, Value, entry_of
from monitors.cli.rule_files.reading import LONGEST_NAME
from monitors.v1.rule_pb2 import Rule

_RARE_BREAKS = re.compile("[\r\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and what is there twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether a value is never referred to."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # The other quotes would let YAML's rarer line breaks become plain ones.
    style = '"' if _RARE_BREAKS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def file_text(namespace: str, rules: Iterable[tuple[str, Mapping[str, Value]]]) -> str:
    """A whole file. Each rule is the part of its key after the namespace, and what `entry_of` says of it."""
    text = f"namespace: {_dumped(namespace)}\nrules:"
    listed = sorted(rules)
    for name, entry in listed:
        text += "\n" + indent(_dumped([{"key": name, **_told(entry)}]), "  ")
    return text if listed else f"{text} []\n"


def _told(entry: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in entry.items() if value != BY_NAME[name].default}


def _dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**30)
    return text.removesuffix("...\n")


def named(rules: Iterable[Rule], taken: Iterable[str]) -> list[tuple[str, dict[str, Value]]]:
    """Rules that have no key yet, oldest first, with names made from their titles."""
    used, found = set(taken), []
    for rule in sorted(rules, key=lambda rule: (rule.create_time.ToNanoseconds(), rule.id)):
        name = unused_name(rule.title, used)
        used.add(name)
        found.append((name, entry_of(rule)))
    return found


def unused_name(title: str, used: set[str]) -> str:
    """`cpu-is-hot` of “CPU is hot!”, with a number if that is used."""
    letters = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[: LONGEST_NAME - 6].strip("-") or "rule"
    name, number = plain, 1
    while name in used:
        number += 1
        name = f"{plain}-{number}"
    return name
