"""The tests of a file together with the rules that they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import RuleFile, read_files
from monitors.cli.rule_tests.cases import Case, read_cases
from monitors.cli.rule_tests.course import Course, ReadRule, read_rule, spec_for
from monitors.cli.rule_tests.judging import Verdict, judge
from monitors.rules.model.rule import is_pattern


@dataclass(frozen=True, slots=True)
class Suite:
    """A file's tests, and the rules by what the tests call them."""

    cases: tuple[Case, ...]
    rules: Mapping[str, ReadRule]


def load(paths: Sequence[str], problems: Problems) -> list[Suite]:
    """The tests of files, with all that is wrong with them or their rules among the problems."""
    files = read_files(paths, problems)
    if problems.told:
        return []
    read = {file.file: file for file in files}
    more = [path for file in files for path in file.rule_files if path not in read]
    read |= {file.file: file for file in read_files(dict.fromkeys(more), problems)}
    if problems.told:
        return []
    known: dict[str, ReadRule] = {}
    for rule in (rule for file in read.values() for rule in file.rules):
        if found := read_rule(rule, problems):
            known[rule.key] = found
    return [_suite(file, read, known, problems) for file in files]


def _suite(file: RuleFile, read: Mapping[str, RuleFile], known: Mapping[str, ReadRule], problems: Problems) -> Suite:
    about = [read[path] for path in dict.fromkeys([file.file, *file.rule_files]) if path in read]
    stated = [rule for one in about for rule in one.rules]
    names = _short(rule.key for rule in stated)
    rules = {name: known[key] for key, name in names.items() if key in known}
    watched = {str(rule.values["monitor"]) for rule in stated}
    monitors = [monitor for monitor in watched if not is_pattern(monitor)]
    (default,) = monitors if len(monitors) == 1 else ("",)
    return Suite(tuple(read_cases(file.tests, default, names, problems)) if file.tests else (), rules)


def _short(keys: Iterable[str]) -> dict[str, str]:
    """What tests call rules: the key less the namespace, unless two have the same."""
    names = {key: key.partition("/")[2] for key in keys}
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else key for key, name in names.items()}


def run(suite: Suite, problems: Problems, part: str) -> list[Verdict]:
    """How the tests go whose names contain `part`. A rule that is named but can't be tried is a problem."""
    found = [_run(case, suite.rules, problems) for case in suite.cases if part in case.name]
    return [verdict for verdict in found if verdict]


def _run(case: Case, rules: Mapping[str, ReadRule], problems: Problems) -> Verdict | None:
    before = len(problems.told)
    chosen = case.rules or rules
    specs, names, reasons = [], {}, {}
    for name in rules:
        if name not in chosen:
            reasons[name] = "`rules` leaves it out"
            continue
        spec = spec_for(rules[name], case)
        if isinstance(spec, str):
            reasons[name] = spec
        else:
            specs.append(spec)
            names[rules[name].rule.key] = name
    for name, place in case.mentioned.items():
        if name not in rules:
            problems.unknown(place, name, list(rules))
        elif name in reasons:
            problems.add(place, f"{case.name}: {name} can't be tried on these series: {reasons[name]}")
    if len(problems.told) > before:
        return None
    severities = {name: read.severity for name, read in rules.items()}
    return judge(case, Course(case, specs, names), severities, frozenset(names))


def untried(suites: Iterable[Suite], verdicts: Iterable[Verdict]) -> list[str]:
    """The keys of the rules that were evaluated in no test."""
    tried = {key for verdict in verdicts for key in verdict.tried}
    return sorted({read.rule.key for suite in suites for read in suite.rules.values()} - tried)
