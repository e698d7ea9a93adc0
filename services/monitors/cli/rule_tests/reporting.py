"""Runs the tests of files and tells how they went, to a person or as a document."""

from collections.abc import Sequence
from typing import Any

from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.output import print_json, say
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import find_files
from monitors.cli.rule_tests.judging import Difference, Verdict
from monitors.cli.rule_tests.suite import load, run, untried


def run_tests(paths: Sequence[str], part: str, *, as_json: bool) -> int:
    """Runs the tests whose names contain `part`, and returns how many failed."""
    with failures_told():
        problems = Problems()
        suites = load(find_files(paths), problems)
        problems.fail("nothing was tried")
        verdicts = [verdict for suite in suites for verdict in run(suite, problems, part)]
        problems.fail("the tests can't be judged")
        if not verdicts:
            raise Failure("there is no test in these files" + (" of that name" if part else ""), ExitCode.USAGE)
    never = [] if part else untried(suites, verdicts)
    failed = sum(not verdict.passed for verdict in verdicts)
    if as_json:
        print_json(_document(verdicts, never))
    else:
        _show(verdicts)
        if never:
            say(f"In no test: {', '.join(never)}", "yellow")
        say(f"{len(verdicts) - failed} passed, {failed} failed", "red" if failed else "green")
    return failed


def _show(verdicts: Sequence[Verdict]) -> None:
    file = ""
    for verdict in verdicts:
        if verdict.case.place.file != file:
            file = verdict.case.place.file
            say(file, "bold")
        say(f"  {'ok  ' if verdict.passed else 'FAIL'}  {verdict.case.name}", "" if verdict.passed else "red")
        for difference in verdict.differences:
            _show_difference(difference)
        if not verdict.passed:
            say("        what fired:" if verdict.spans else "        nothing fired")
            for name, times in verdict.spans.items():
                say(f"          {name}: {', '.join(times)}")


def _show_difference(difference: Difference) -> None:
    say(f"        {difference.subject} ({difference.place}):")
    for sign, style, texts in (("-", "red", difference.expected), ("+", "green", difference.got)):
        for text in texts or ("nobody" if difference.subject.startswith("at ") else "never",):
            say(f"          {sign} {text}", style)
    for name, reason in difference.reasons.items():
        say(f"          {name}: {reason}")


def _document(verdicts: Sequence[Verdict], never: Sequence[str]) -> dict[str, Any]:
    return {
        "passed_count": sum(verdict.passed for verdict in verdicts),
        "failed_count": sum(not verdict.passed for verdict in verdicts),
        "tests": [
            {
                "name": verdict.case.name,
                "file": verdict.case.place.file,
                "line": verdict.case.place.line,
                "passed": verdict.passed,
                "differences": [
                    {
                        "line": one.place.line,
                        "subject": one.subject,
                        "expected": list(one.expected),
                        "got": list(one.got),
                        "reasons": dict(one.reasons),
                    }
                    for one in verdict.differences
                ],
                "intervals": {name: list(times) for name, times in verdict.spans.items()},
            }
            for verdict in verdicts
        ],
        "untested_rules": list(never),
    }
