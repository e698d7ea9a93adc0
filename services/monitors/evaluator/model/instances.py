"""What a plan is made of: rules and instances as columns, how many there may be, and what a change did to them."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Columns, Layout
from monitors.evaluator.model.identities import NONE
from monitors.evaluator.model.series import Floats, Int32s, Int64s
from monitors.evaluator.model.spec import InstanceKey


@dataclass(frozen=True)
class Limits:
    """How many instances a rule, and all rules of a tenant together, may have."""

    per_rule: int = 10_000
    per_tenant: int = 2_000_000
    inputs_per_rule: int = 1_000_000
    """How many inputs the instances of a formula may have together, on each monitor."""


class Instances(Columns):
    """What each instance is evaluated by."""

    series: Int32s
    """Its input, or the first of several."""
    rule: Int32s
    profile: Int32s
    scope: Int32s
    low: Floats
    high: Floats
    outside: Booleans
    live: Booleans
    row: Int32s
    """With a formula: its row in the program."""

    LAYOUT: ClassVar[Layout] = {
        "series": (np.int32, NONE),
        "rule": (np.int32, NONE),
        "profile": (np.int32, 0),
        "scope": (np.int32, NONE),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
        "outside": (np.bool_, False),
        "live": (np.bool_, False),
        "row": (np.int32, 0),
    }


class Rules(Columns):
    """What is kept of each rule beside its name."""

    profile: Int32s
    monitor: Int32s
    """NONE for a pattern."""
    instances: Int32s
    revision: Int64s
    low: Floats
    high: Floats

    LAYOUT: ClassVar[Layout] = {
        "profile": (np.int32, NONE),
        "monitor": (np.int32, NONE),
        "instances": (np.int32, 0),
        "revision": (np.int64, 0),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
    }


@dataclass
class PlanChange:
    """What a change of the plan did: places of instances, and series."""

    created: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    removed: dict[int, InstanceKey] = field(default_factory=dict)
    former: dict[int, list[int]] = field(default_factory=dict)
    """What the inputs of `kept` ones were before."""
    series: set[int] = field(default_factory=set)
    """Series that are inputs now and may be new as such, or reach further back than before."""
    dropped: list[int] = field(default_factory=list)
    """Series that are no rule's input any more."""
