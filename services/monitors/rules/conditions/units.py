"""Units that people write behind a threshold, which is a plain number in the field's own unit."""

from monitors.rules.model.quantities import shown

_BYTES = {"b": 1} | {
    f"{prefix}{middle}b": base ** (power + 1)
    for power, prefix in enumerate("kmgtp")
    for middle, base in (("", 1000), ("i", 1024))
}
_LONGEST_NUMBER, _PLAIN_TO = 20, 1e18


def is_size(word: str) -> bool:
    """Whether a word is a unit of sizes."""
    return word.lower() in _BYTES


def in_plain(number: str, unit: str) -> str:
    """A number with a unit as the plain number that it most likely stands for: sizes in bytes, all else as it is.

    The number is one that a condition can have.
    """
    factor = _BYTES.get(unit.lower())
    return number if factor is None else plain(float(number) * factor)


def leave_out(number: str, unit: str) -> str:
    """What to tell whoever wrote a unit."""
    told = f"a threshold is a plain number in the field's own unit: leave {shown(unit)} out"
    if not is_size(unit) or len(number) > _LONGEST_NUMBER:
        return told
    return f"{told}; {number} {unit} is {in_plain(number, unit)} in a field of bytes"


def plain(value: float) -> str:
    """A number as it's written in a condition, without an exponent unless it's huge."""
    return f"{value:.12f}".rstrip("0").rstrip(".") if abs(value) < _PLAIN_TO else f"{value:g}"
