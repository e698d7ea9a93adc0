"""Grafana's threshold with two bounds: one begins an alert, the other ends it.

Source: `grafana/grafana: pkg/expr/hysteresis_test.go`. Facts only: bounds 100 and 30, both exclusive; six values, and
which of them are true depending on which series were true ("loaded") before.
"""

from tests.peers.cases import Case, Expected, PeerRule

PEER = "grafana"
RULE = PeerRule(low=100, recover=("<=", 30))
VALUES = {"value1": 101.0, "value2": 100.0, "value3": 99.0, "value4": 31.0, "value5": 30.0, "value6": 29.0}
HIGH, LOW = 200.0, 0.0


def loaded(name: str, before: frozenset[str], after: frozenset[str]) -> Case:
    """The series in `before` fire at second 0; those in `after` do at second 1, with the six values."""
    return Case(
        PEER,
        name,
        1,
        (RULE,),
        {series: ((0.0, HIGH if series in before else LOW), (1.0, value)) for series, value in VALUES.items()},
        Expected(
            states={
                f"rule/{series}": [
                    (0, "firing" if series in before else "inactive"),
                    (1, "firing" if series in after else "inactive"),
                ]
                for series in VALUES
            }
        ),
    )


CASES = (
    loaded("only the bound that loads counts if nothing is loaded", frozenset(), frozenset({"value1"})),
    loaded(
        "what is loaded is held against the bound that unloads",
        frozenset({"value4", "value5", "value6"}),
        frozenset({"value1", "value4"}),
    ),
    Case(
        PEER,
        "no data stays no data",
        1,
        (RULE,),
        {"one": ((0.0, HIGH), (1.0, float("nan")))},
        # No data is unknown, and what is unknown keeps its state unless the rule says otherwise.
        Expected(states={"rule/one": [(0, "firing"), (1, "firing")]}, messages=None),
    ),
)
