"""Which tests are others on servers, told by reading them: those from which names lead to the switch itself.

All others, whatever they start, do the same in a run on servers as in one without, and needn't run a second time.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

SWITCH = ("tests.servers.backends", "ON_SERVERS")
ANY_FIXTURE = "getfixturevalue"
"""Who calls this may want any fixture, which isn't seen before it's asked for."""
ON_IMPORT = ""
"""Stands for what a module does when it's imported."""
Symbol = tuple[str, str]
"""A module of tests, and what it calls something at its top level."""


@dataclass
class _Module:
    """What the names of a module mention, and where those come from that it has from others."""

    mentioned: dict[str, set[str]] = field(default_factory=dict)
    imported: dict[str, Symbol] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


def is_another_on_servers(item: pytest.Item) -> bool:
    """Whether a test, or a fixture of its, leads to the switch. What can't be told does."""
    function, info = getattr(item, "function", None), getattr(item, "_fixtureinfo", None)
    if info is None or not getattr(function, "__module__", "").startswith("tests."):
        return True
    fixtures = [one.func for found in info.name2fixturedefs.values() for one in found]
    return any(
        leads_to_the_switch((one.__module__, one.__qualname__.partition(".")[0])) for one in (function, *fixtures)
    )


@cache
def leads_to_the_switch(start: Symbol) -> bool:
    """Whether what a module calls something at its top level mentions the switch, or what mentions it, and so on."""
    seen, waiting = set[Symbol](), [start]
    while waiting:
        symbol = waiting.pop()
        if symbol == SWITCH or symbol[1] == ANY_FIXTURE:
            return True
        if symbol not in seen:
            seen.add(symbol)
            waiting += _next(*symbol)
    return False


def _next(module: str, name: str) -> Iterator[Symbol]:
    found = _read(module)
    if found is None:
        return
    if name in found.modules:
        # Whichever of its names is wanted.
        other = _read(found.modules[name])
        yield from ((found.modules[name], one) for one in (other.mentioned if other else ()))
    elif name in found.imported:
        yield found.imported[name]
    for one in (*found.mentioned.get(name, ()), *found.mentioned.get(ON_IMPORT, ())):
        yield module, one


@cache
def _read(module: str) -> _Module | None:
    spec = find_spec(module) if module.startswith("tests.") else None
    if spec is None or spec.origin is None:
        return None
    found, tree = _Module(), ast.parse(Path(spec.origin).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                _take_import(found, node.module or "", one.name, one.asname or one.name)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = {statement.name}
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {name for target in targets for name in _mentioned(target)}
        else:
            names = {ON_IMPORT}
        for name in names:
            found.mentioned.setdefault(name, set()).update(_mentioned(statement))
    return found


def _take_import(found: _Module, module: str, name: str, called: str) -> None:
    found.imported[called] = module, name
    if module.startswith("tests") and find_spec(module) and _is_module(f"{module}.{name}"):
        found.modules[called] = f"{module}.{name}"


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _mentioned(node: ast.AST) -> set[str]:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    asks = any(isinstance(one, ast.Attribute) and one.attr == ANY_FIXTURE for one in ast.walk(node))
    return names | {ANY_FIXTURE} if asks else names
