"""Why a condition's text can't be read: the place, what was expected there, and a corrected example."""

import re
from difflib import get_close_matches

from lark import UnexpectedCharacters, UnexpectedToken

from monitors.rules.conditions.canonical import RESERVED
from monitors.rules.conditions.units import in_plain, is_size, leave_out
from monitors.rules.model.quantities import shown

_EXPECTED = {
    "a comparison (`>`, `>=`, `<`, `<=`, `==`, `!=`, `inside`, `outside`)": {
        "GREATER", "GREATER_OR_EQUAL", "LESS", "LESS_OR_EQUAL", "EQUAL", "NOT_EQUAL", "INSIDE", "OUTSIDE",
    },
    "a number": {"NUMBER"},
    "a field's name": {"NAME"},
    "a text in quotes": {"STRING"},
    "a duration such as `5m`": {"DURATION"},
    "`daily` or `weekly`": {"SEASON"},
    "`for` and a duration": {"FOR", "SINCE"},
    "two bounds as `20..400`": {"DOTS", "TO"},
    "`=`, `!=`, `=~` or `!~`": {"TAG_OPERATOR"},
    "a comma": {"COMMA", "NEXT_SET"},
    "`(`": {"LPAR"},
    "`)`": {"RPAR"},
    "`}`": {"RBRACE"},
    "`and`, `or` or `unless`": {"AND", "OR", "UNLESS"},
    "the end": {"$END"},
}  # fmt: skip
_WORD = re.compile(r"[^\W\d]\w*(?:\.\w+)*|[=!]~|\S")
_FUNCTIONS = (
    "latest", "first", "avg", "min", "max", "sum", "count", "median", "p95", "stddev", "spread", "rate", "increase",
    "delta", "deriv", "changes", "resets", "change", "age", "forecast", "anomaly",
)  # fmt: skip
_SPELLINGS = {**{name: name for name in _FUNCTIONS}, "average": "avg", "minimum": "min", "maximum": "max"}
_LONGEST_EXAMPLE = 200
_JOINS = ("and", "or", "unless", "but", "except", "while")


def explain(text: str, error: UnexpectedCharacters | UnexpectedToken) -> tuple[str, int]:
    """What to tell, and the place as a character's number from 1."""
    if isinstance(error, UnexpectedToken):
        at_end, expected = error.token.type == "$END", set(error.accepts or error.expected)
        place = len(text.rstrip()) if at_end else error.token.start_pos or 0
    else:
        place = error.pos_in_stream or 0
        at_end, expected = place >= len(text), set(error.allowed or ())
    match = _WORD.search(text, place)
    seen = match[0] if match and not at_end else ""
    before = text[:place].rstrip()
    if unit := _unit(text, place, seen, before):
        number, example = unit
        wanted = f"{leave_out(number, seen)}. Write for example `{example}`"
        return f"can't be read at {shown(seen)} (character {place + 1}): {wanted}", place + 1
    special = _special(text, place, seen, before)
    wanted = special or f"expected {_words_for(expected)}"
    saw = f"at {shown(seen)} (character {place + 1})" if seen else "at the end"
    return f"can't be read {saw}: {wanted}. Write for example `{_example(text)}`", place + 1


def _special(text: str, place: int, seen: str, before: str) -> str:
    """A better hint than the list of what would have been accepted, where something well known was meant."""
    previous = re.search(r"([^\W\d]\w*)$", before)
    if seen == "(" and previous and previous[1].lower() not in RESERVED:
        return _unknown_function(previous[1])
    if seen.lower() in _JOINS and re.search(r"\bfor\s+(?:\S+\s*){1,3}$", before, re.IGNORECASE):
        return "`for` holds for the whole condition; say it once, at the end"
    if not seen and re.search(r"\bor\s+(?:\"[^\"]*\"|'[^']*')$", before, re.IGNORECASE):
        return 'several texts are a list, as `state in ("failed", "unknown")`'
    return ""


def _unit(text: str, place: int, seen: str, before: str) -> tuple[str, str] | None:
    """The number before a unit that shouldn't be there, and an example without it; None if it's none."""
    number = re.search(r"((?:\d+(?:_\d+)*(?:\.\d+)?|\.\d+)(?:e[+\-]?\d+)?)$", before, re.IGNORECASE)
    if not number or not re.fullmatch(r"[^\W\d]\w*|%", seen) or seen.lower() in RESERVED - {"percent"}:
        return None
    if not (text[place - 1 : place].isdigit() or seen.lower() == "percent" or is_size(seen)):
        return None
    meant = f"{before[: number.start()]}{in_plain(number[1], seen)}{text[place + len(seen) :]}"
    return number[1], meant if len(meant) <= _LONGEST_EXAMPLE else _example(text)


def _unknown_function(name: str) -> str:
    close = get_close_matches(name.lower(), _SPELLINGS, n=1, cutoff=0.75)
    hint = f", did you mean {_SPELLINGS[close[0]]}?" if close else ";"
    return f"{shown(name)} isn't a function that can be evaluated{hint} there are {', '.join(_FUNCTIONS)}"


def _words_for(expected: set[str]) -> str:
    if "NAME" in expected:
        # Where an expression may stand, a text or a duration hardly ever may.
        expected = expected - {"STRING", "DURATION"}
    words = [word for word, names in _EXPECTED.items() if names & expected]
    return " or ".join(words[:4]) or "something else"


def _example(text: str) -> str:
    """An example of the same kind with the field's name and the bound that were written, if they can be made out."""
    if re.search(r"\b(no|data|missing|absent)\b", text, re.IGNORECASE):
        return "no data for 15m"
    # Names, but not those of functions, nor what is in quotes.
    names = re.findall(r"[^\W\d]\w*(?:\.\w+)*\b(?!\s*\()", re.sub(r"\"[^\"]*\"?|'[^']*'?", " ", text))
    words = [word for word in names if word.lower() not in _PLAIN_WORDS]
    field = words[0][:60] if words else "response_time"
    bound = _bound(text)
    if re.search(r"\b(inside|outside|between)\b", text, re.IGNORECASE):
        return f"avg({field}, 5m) outside 20..400"
    if re.search(r"\b(by|without|per)\b", text, re.IGNORECASE):
        return f"sum by (host) ({field}) {bound}"
    if "{" in text:
        return f'avg({field}{{cpu="0"}}, 5m) > 90'
    if re.search(r"[\"']", text):
        return f'{field} == "down"'
    if re.search(r"\b(and|or|unless)\b", text, re.IGNORECASE):
        return f"{field} {bound} and {words[1][:60] if len(words) > 1 else 'load1'} > 8"
    return f"avg({field}, 5m) {bound} for 2m" if "(" in text or "for" in text.lower() else f"{field} {bound}"


def _bound(text: str) -> str:
    sign = "<" if re.search(r"<|\b(?:below|under|less|lower|drops|falls)\b", text, re.IGNORECASE) else ">"
    number = re.search(r"(?<![\w.])[0-9]{1,12}(?:\.[0-9]{1,6})?(?![\w.])", text)
    return f"{sign} {number[0] if number else 500}"


# A name that is one of these is hardly a field's.
_PLAIN_WORDS = RESERVED | {
    *_FUNCTIONS, "p50", "p90", "p99", "quantile", "percentile", "s", "m", "h", "minutes", "seconds", "average", "host",
}  # fmt: skip
