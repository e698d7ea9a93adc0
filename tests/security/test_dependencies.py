"""What comes along with the product: how much it is, and under which licences it may be passed on."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = {"monitors-protos", "monitors-services", "monitors-mcp"}
MOST = {"monitors-services": 82, "monitors-mcp": 30}
"""How many packages of others each brings along at most. A new one is a choice; this number says that it was made."""
FREE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0",
    "Zlib",
    # By file: whoever changes certifi's list of authorities, or orjson's Rust, passes on what was changed.
    "MPL-2.0",
}  # fmt: skip
"""Licences, by their SPDX names, that ask for no more than that they be passed along."""
IN_WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""As some still write them, in a classifier or in a word."""


def _needed_by(root: str) -> dict[str, Distribution]:
    """What is installed because of a package, by name, and the package itself."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found[name] = distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(requirement.name)
                waiting += [(wanted, each) for each in ("", *requirement.extras)]
    return found


def _licences(package: Distribution) -> Iterator[str]:
    """The names of a package's licences: of its expression, else of its classifiers, else of its own word."""
    told = package.metadata
    for expression in told.get_all("License-Expression", ()):
        yield from re.split(r" AND | OR ", expression.replace("(", "").replace(")", ""))
        return
    classified = [
        each.rpartition(" :: ")[2] for each in told.get_all("Classifier", ()) if each.startswith("License ::")
    ]
    yield from (IN_WORDS.get(name, name) for name in classified or told.get_all("License", ["none"]))


@pytest.mark.parametrize("package", sorted(MOST))
def test_no_more_comes_along_than_was_chosen(package: str) -> None:
    needed = _needed_by(package).keys() - OURS
    assert len(needed) <= MOST[package], sorted(needed)


@pytest.mark.parametrize("package", sorted(MOST))
def test_what_comes_along_may_be_passed_on(package: str) -> None:
    licences = {name: set(_licences(each)) for name, each in _needed_by(package).items() if name not in OURS}
    assert {name: found for name, found in licences.items() if not found <= FREE} == {}
