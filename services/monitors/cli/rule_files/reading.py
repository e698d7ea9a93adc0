"""Reads rule files: strictly, with all problems at once."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitors.cli.failures import ExitCode, Failure
from monitors.cli.rule_files.fields import BY_NAME, REQUIRED, Unfit, Value, put_entry, read_text
from monitors.cli.rule_files.nodes import Entries, Items, Node, read_nodes
from monitors.cli.rule_files.problems import Place, Problems
from monitors.v1.rule_pb2 import Rule

SUFFIXES = (".yaml", ".yml")
SECTIONS = ("namespace", "rules", "tests", "rule_files")
_PART = r"[a-z0-9][a-z0-9._-]*"
_FORMS = {"namespace": re.compile(_PART), "key": re.compile(f"{_PART}(?:/{_PART})*")}
LONGEST_NAME = 63
_FORM = f"write at most {LONGEST_NAME} lower-case letters, digits, `.`, `_` and `-`, such as"
_EXAMPLES = {"namespace": f"{_FORM} `web` (rules of other namespaces are left alone)", "key": f"{_FORM} `cpu-is-hot`"}


@dataclass(frozen=True, slots=True)
class FileRule:
    """A rule as a file says it. `key` begins with the file's namespace; `values` are what isn't left out."""

    key: str
    place: Place
    values: Mapping[str, Value]
    places: Mapping[str, Place]
    """Where each field is said."""

    def place_of(self, name: str) -> Place:
        """Where a field is said, or the rule if it's left out."""
        return self.places.get(name, self.place)

    def message(self) -> Rule:
        """The rule for the mesh, which fills in what is left out."""
        rule = Rule(key=self.key)
        put_entry(self.values, rule)
        return rule


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file's rules, and its tests as they stand there."""

    file: str
    namespace: str
    rules: tuple[FileRule, ...]
    tests: Node | None = None
    rule_files: tuple[str, ...] = ()
    """Other files with the rules that the tests are about."""


def is_name(text: str, kind: str) -> bool:
    """Whether a text can be a `namespace`, or a `key` of one in its file."""
    return _FORMS[kind].fullmatch(text) is not None and len(text) <= LONGEST_NAME


def find_files(paths: Iterable[str]) -> list[str]:
    """The files that are named, and those below the folders that are; `-` is the standard input. Raises Failure."""
    found: list[str] = []
    for path in paths:
        if path != "-" and Path(path).is_dir():
            below = sorted(str(file) for file in Path(path).rglob("*") if _is_rule_file(file, Path(path)))
            if not below:
                raise Failure(f"{path}: there is no file in it whose name ends in .yaml or .yml", ExitCode.USAGE)
            found += below
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_rule_file(file: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix in SUFFIXES and not is_hidden and file.is_file()


def read_files(paths: Iterable[str], problems: Problems) -> list[RuleFile]:
    """The files that can be read; a key that two rules have is a problem. Raises Failure for one that isn't there."""
    files = [read for path in paths if (read := read_file(path, problems))]
    first: dict[str, Place] = {}
    for rule in (rule for file in files for rule in file.rules):
        if rule.key in first:
            problems.add(rule.place, f"the key {rule.key!r} is taken by the rule in {first[rule.key]}; give it another")
        elif rule.key:
            first[rule.key] = rule.place
    return files


def read_file(path: str, problems: Problems) -> RuleFile | None:
    """A file; None if it can't be read, which is then among the problems. Raises Failure if it isn't there."""
    name = "<stdin>" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        raise Failure(f"{path}: can't be read: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError as error:
        problems.add(Place(name, data.count(b"\n", 0, error.start) + 1), "isn't UTF-8; save it as that")
        return None
    return parse_file(name, text, problems)


def parse_file(file: str, text: str, problems: Problems) -> RuleFile | None:
    """A file's text; None if it can't be read, which is then among the problems."""
    before = len(problems.told)
    root = read_nodes(file, text, problems)
    if not isinstance(root, Entries):
        if len(problems.told) == before:
            problems.add(Place(file, 1), "holds no rules; begin with `namespace: web` and `rules:`")
        return None
    for name in root.entries.keys() - set(SECTIONS):
        problems.unknown(root.places[name], name, SECTIONS)
    has_rules = "rules" in root.entries
    namespace = _named(root, "namespace", problems) if has_rules or "namespace" in root.entries else ""
    rules = tuple(_rules(root.entries["rules"], namespace or "?", problems)) if has_rules else ()
    if not has_rules and "tests" not in root.entries:
        problems.add(root.place, "has neither rules nor tests; write `rules:` and a list of them")
    return RuleFile(file, namespace, rules, root.entries.get("tests"), tuple(_rule_files(root, problems)))


def _named(entries: Entries, kind: str, problems: Problems) -> str:
    """A namespace or a key; empty if there is none that is taken."""
    if kind not in entries.entries:
        problems.add(entries.place, f"{kind} is missing; {_EXAMPLES[kind]}")
        return ""
    try:
        text = read_text(entries.entries[kind])
        if is_name(text, kind):
            return text
        problems.add(entries.places[kind], f"{kind}: {text[:80]!r} isn't one; {_EXAMPLES[kind]}")
    except Unfit as error:
        problems.add(entries.places[kind], f"{kind}: {error}")
    return ""


def _rules(node: Node, namespace: str, problems: Problems) -> Iterator[FileRule]:
    if not isinstance(node, Items):
        problems.add(node.place, "rules: must be a list; write `- key: …` for each rule")
        return
    for item in node.items:
        if isinstance(item, Entries):
            yield _rule(item, namespace, problems)
        else:
            problems.add(item.place, "a rule must be names and values, such as `- key: cpu-is-hot`")


def _rule(node: Entries, namespace: str, problems: Problems) -> FileRule:
    own_name = _named(node, "key", problems)
    key = f"{namespace}/{own_name}" if own_name else ""
    subject = f"{key}: " if key else ""
    values: dict[str, Value] = {}
    for name, value in node.entries.items():
        if name == "key":
            continue
        if name not in BY_NAME:
            problems.unknown(node.places[name], name, ("key", *BY_NAME))
            continue
        try:
            values[name] = BY_NAME[name].read(value)
        except Unfit as error:
            problems.add(node.places[name], f"{subject}{name}: {error}")
    for name in REQUIRED:
        if name not in node.entries:
            problems.add(node.place, f"{subject}{name} is missing; every rule has one")
    return FileRule(key, node.place, values, node.places)


def _rule_files(root: Entries, problems: Problems) -> Iterator[str]:
    node = root.entries.get("rule_files")
    if node is None:
        return
    try:
        items = [read_text(item) for item in node.items] if isinstance(node, Items) else [read_text(node)]
    except Unfit as error:
        problems.add(node.place, f"rule_files: {error}")
        return
    for item in items:
        yield str(Path(root.place.file).parent / item)
