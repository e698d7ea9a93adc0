"""The numbers of a condition as people write them, with a unit or without, and what the unit says of the left side."""

import re
from dataclasses import dataclass, replace

from lark import Token

from monitors.rules.conditions.units import plain
from monitors.rules.model.condition import (
    Age,
    Arithmetic,
    ArithmeticOperator,
    Change,
    Expression,
    Number,
    Range,
    Test,
    Threshold,
)
from monitors.rules.model.quantities import shown


class Unreadable(Exception):
    """A text of the right form that means nothing that can be evaluated."""


@dataclass(frozen=True)
class Amount:
    """What a value is compared with: `unit` is empty, `%`, or `s` where a duration was written."""

    value: float
    unit: str = ""
    token: Token | None = None

    def unexpected(self) -> Unreadable:
        """That a plain number should have been written."""
        token = self.token or Token("NUMBER", "")
        unit = re.sub(r"^[^a-zµμ%]*", "", token, flags=re.IGNORECASE)
        place = (token.start_pos or 0) + token.find(unit) + 1
        named = f"`{unit}`" if self.unit == "%" else shown(unit)
        belongs = "percent goes with a change, as `change(price, 1h) < -5%`, or a share, as `used > 90% of size`"
        if self.unit == "s":
            seconds, milliseconds = plain(self.value), plain(self.value * 1000)
            belongs = (
                f"{token[:20]} is {seconds} in a field of seconds and {milliseconds} in one of milliseconds; a "
                "duration goes with an age, as `age(last_backup) > 1d`"
            )
        return Unreadable(
            f"can't be read at {shown(unit)} (character {place}): a threshold is a plain number in the field's own "
            f"unit: leave {named} out; {belongs}"
        )


@dataclass(frozen=True)
class StatedTest:
    """A test with its numbers as they were written. `negated` is a test that mustn't hold."""

    test: Test
    amounts: tuple[Amount, ...] = ()
    negated: bool = False


def measured(left: Expression, stated: StatedTest) -> tuple[Expression, Test]:
    """Both sides of a comparison, where the numbers on the right tell whether a change is meant in percent."""
    is_share = isinstance(left, Arithmetic) and left.operator is ArithmeticOperator.DIVIDE
    for amount in stated.amounts:
        fits = {"%": is_share or isinstance(left, Change), "s": isinstance(left, Age)}.get(amount.unit, True)
        if not fits:
            raise amount.unexpected()
    in_percent = [amount.unit == "%" for amount in stated.amounts]
    if any(in_percent) and not all(in_percent):
        raise Unreadable("one bound is in percent and the other isn't; say both in percent, as `-5%..5%`")
    if not any(in_percent):
        return left, stated.test
    return (replace(left, percent=True), stated.test) if isinstance(left, Change) else (left, _share(stated.test))


def _share(test: Test) -> Test:
    """What a share is compared with: 5 % of it is 0.05."""
    match test:
        case Range(low=low, high=high):
            return replace(test, low=low / 100, high=high / 100)
        case Threshold(right=Number(value=value)):
            return replace(test, right=Number(value / 100))
        case _:
            return test
