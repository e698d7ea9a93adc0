"""The condition's text: many spellings, one canonical form, errors that name the place and the fix."""

import logging
import re
import time
from pathlib import Path

import pytest
from lark import Lark
from lark import logger as lark_logger

from monitors.mesh.errors import InvalidCondition
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.conditions.parse import grammar, parse_condition
from monitors.rules.model.condition_checks import check_condition
from monitors.rules.model.rule import with_for_clause


def canonical(text: str) -> str:
    stated = parse_condition(text, "rule.condition_text")
    return with_for_clause(condition_text(stated.condition), stated.for_duration or 0)


def problem(text: str) -> str:
    try:
        stated = parse_condition(text, "rule.condition_text")
    except InvalidCondition as error:
        return error.message
    return check_condition(stated.condition, "rule.condition_text")[0].message


CANONICAL = [
    "avg(response_time, 5m) > 500 for 2m",
    "is_up == 0",
    "no data for 15m",
    "no data on cpu_percent for 15m",
    "avg(latency, 10m) outside 20..400",
    "latency inside -5..0.5 for 1h30m",
    "price == 5 within 0.001",
    "price != 5",
    "mem.used_percent > 90",
    'cpu{cpu="0", host!="a b"} >= 90',
    'avg("used-percent", 1m) <= 3',
    "latest(cpu, 10m) < 1e-07",
    "count(errors, 1d) > 0",
    'no data on cpu{cpu="0"} for 1m30s for 2m',
    "p95(latency, 10m) > 400",
    "p99.9(latency, 10m) outside 20..400",
    "median(latency, 1h) > 5",
    "first(x, 5m) == 1",
    "stddev(x, 5m) > 1",
    "spread(temperature, 1d) > 10",
    "rate(requests, 5m) < 0.5",
    "increase(errors, 1h) > 100",
    "delta(level, 1h) < -3",
    "deriv(disk_used, 1h) > 1000",
    "changes(state, 1h) > 4",
    "resets(uptime, 1d) >= 1",
    "avg(cpu, 5m) offset 1d > 90",
    "cpu offset 1h > 90 for 2m",
    "change(price, 1h) < -5%",
    "change(avg(price, 5m) offset 1m, 1h) outside -5%..5.5%",
    "change(level, 1d) > 3",
    "age(last_backup) > 1d12h",
    "age(last_backup) inside 0..1h",
    "forecast(disk_used, 6h, 4h) > 95",
    "avg(cpu, 5m) > 90 recover < 75",
    "cpu outside 20..80 recover inside 30..70 for 5m",
    "change(price, 1h) < -5% recover > -1%",
    '"rate" > 5',
    "age > 5",
    "cpu > 90 in 3 of the last 5 points",
    "cpu > 90 in all of the last 5 points recover < 70 for 2m",
    "cpu > 90 in all points of 10m",
    "latest(cpu, 10m) offset 1h > 90 in 3 of the last 5 points",
    "cpu > 90 in at least 3 points of 10m",
    'cpu{host=~"web-[0-9]+", zone!~"eu|us"} > 90',
    "change > 5",
    "p95 > 5",
    "cpu > load",
    "a > 0.9 * b",
    "a + b * c - d / 2 > 5",
    "(a + b) * (c - d) > 5",
    "a - (b - c) > 5",
    "a / (b * c) inside 0..1",
    "-1 * a > -5",
    "5 < a",
    "100 * avg(used, 5m) / latest(size, 1h) > 90 recover < 80 for 5m",
    "errors / on (host) requests > 0.05",
    "errors / on (host, zone) requests - on (host) old > 0.05",
    'sum by (host) (rate(errors{code=~"5.."}, 5m)) / sum by (host) (rate(requests, 5m)) > 0.05',
    "avg without (core) (cpu) > 90",
    "sum by () (errors) > 5",
    "p95 by (host, zone) (avg(latency, 5m) offset 1d) > 400",
    "max by (host) (sum by (host, core) (a + b)) > 5",
    "count by (host) (cpu) < 3",
    "anomaly(requests, 1d) > 4",
    "anomaly(avg(requests, 5m), 7d, daily) > 4 recover < 2",
    "anomaly(requests, 28d, weekly) > 4",
    "change(price, 1h) == 5% within 0.001",
    "cpu > 0 recover == load within 1",
    'cpu > 0 recover == latest("above", 5m) within 1',
    "change(price, 1h, percent) > change(index, 1h, percent)",
    "age(last_backup) / 3600 > age(first_backup)",
    "forecast(disk_used, 6h, 4h) offset 1d > 95",
    'status == "down"',
    'status != "ok" for 5m',
    'state in ("failed", "it\'s \\"gone\\"") recover == "ok"',
    'first(status, 10m) == "down"',
    'status == "down" in 3 of the last 5 points',
    'cpu == latest("used-percent", 5m)',
    'no data on up{host="a"} for 15m expecting {host="a"}, {host="b", zone="c"} for 2m',
    "no data for 15m expecting {}",
    "cpu > 90 and load > 8",
    "cpu > 90 and load > 8 and mem > 90 for 5m",
    "(cpu > 90 and load > 8) or mem > 90",
    "cpu > 90 and (load > 8 or mem > 90)",
    "cpu > 90 and on (host) load > 8 and on (host) mem > 5",
    "(cpu > 90 and on (host) load > 8) and mem > 5",
    "cpu > 90 or on (host, zone) no data for 5m",
    "cpu > 90 unless on (host) maintenance == 1",
    "(a > 1 unless b > 2) unless c > 3",
    "not (cpu > 90)",
    "not (no data for 5m and not (cpu > 90))",
    "temperature inside 18..26 and humidity > 60",
    'all > 5 and "and" > 5'.replace("all", '"all"'),
]


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_text_stays_as_it_is(text: str) -> None:
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("cpu greater than 90", "cpu > 90"),
        ("cpu is above 90", "cpu > 90"),
        ("CPU IS ABOVE 90", "CPU > 90"),
        ("cpu over 90", "cpu > 90"),
        ("cpu exceeds 90", "cpu > 90"),
        ("cpu ≥ 90", "cpu >= 90"),
        ("cpu => 90", "cpu >= 90"),
        ("cpu at least 90", "cpu >= 90"),
        ("cpu is greater than or equal to 90", "cpu >= 90"),
        ("cpu is not below 90", "cpu >= 90"),
        ("cpu below 90", "cpu < 90"),
        ("cpu drops under 90", "cpu < 90"),
        ("cpu less than 90", "cpu < 90"),
        ("cpu ≤ 90", "cpu <= 90"),
        ("cpu at most 90", "cpu <= 90"),
        ("is_up equals 0", "is_up == 0"),
        ("is_up is 0", "is_up == 0"),
        ("is_up = false", "is_up == 0"),
        ("is_up == true", "is_up == 1"),
        ("is_up is not 1", "is_up != 1"),
        ("is_up <> 1", "is_up != 1"),
        ("alert me when cpu > 90", "cpu > 90"),
        ("if cpu > 90", "cpu > 90"),
        ("average response_time over 5m > 500", "avg(response_time, 5m) > 500"),
        ("the mean of response_time over the last 5 minutes is above 500", "avg(response_time, 5m) > 500"),
        ("avg(response_time, 300) > 500", "avg(response_time, 5m) > 500"),
        ("avg(response_time) > 500", "avg(response_time, 5m) > 500"),
        ("average cpu over 90", "avg(cpu, 5m) > 90"),
        ("maximum cpu over 1 hour 30 minutes >= 5", "max(cpu, 1h30m) >= 5"),
        ("min(cpu, 2 min) < 5", "min(cpu, 2m) < 5"),
        ("total bytes over 1h exceeds 1e9", "sum(bytes, 1h) > 1000000000"),
        ("number of errors over 10m > 5", "count(errors, 10m) > 5"),
        ("response_time stays above 500 for 2 minutes", "response_time > 500 for 2m"),
        ("cpu > 90 for at least 90", "cpu > 90 for 1m30s"),
        ("cpu > 90 during 1.5h", "cpu > 90 for 1h30m"),
        ("cpu > 90 for 0s", "cpu > 90"),
        ("latency between 20 and 400", "latency inside 20..400"),
        ("latency is not between 20 and 400", "latency outside 20..400"),
        ("latency outside of 20 to 400", "latency outside 20..400"),
        ("latency inside -10..-5", "latency inside -10..-5"),
        ("price = 5 ± 0.1", "price == 5 within 0.1"),
        ("no data in the last 15 minutes", "no data for 15m"),
        ("no points for 15m for 2m", "no data for 15m for 2m"),
        ("no data from cpu since 15m", "no data on cpu for 15m"),
        ("cpu is missing for 15m", "no data on cpu for 15m"),
        ("cpu{cpu=0} > 1", 'cpu{cpu="0"} > 1'),
        ("cpu{cpu='it\\'s'} > 1", 'cpu{cpu="it\'s"} > 1'),
        ("count > 5", '"count" > 5'),
        ("max.used > 5", "max.used > 5"),
        ("température > 30", "température > 30"),
        ("cpu > −5", "cpu > -5"),
        ("cpu > .5", "cpu > 0.5"),
        ("cpu > -0", "cpu > 0"),
        ("  cpu\n>\t90  ", "cpu > 90"),
        ("quantile(0.95, latency, 10m) > 4", "p95(latency, 10m) > 4"),
        ("the 95th percentile of latency over 10 minutes is above 400", "p95(latency, 10m) > 400"),
        ("p99 of latency over 1h > 4", "p99(latency, 1h) > 4"),
        ("the standard deviation of x over 10m exceeds 3", "stddev(x, 10m) > 3"),
        ("rate of errors over 5m > 1", "rate(errors, 5m) > 1"),
        ("derivative(x, 5m) > 1", "deriv(x, 5m) > 1"),
        ("price drops by more than 5% in 1h", "change(price, 1h) < -5%"),
        ("price falls 5 percent within the last 2 hours", "change(price, 2h) < -5%"),
        ("price rises by at least 100 over 30m", "change(price, 30m) >= 100"),
        ("price changes by 5% in 1 day", "change(price, 1d) outside -5%..5%"),
        ("price rises over 90", "price > 90"),
        ("cpu > 90 for 3 of the last 5 checks", "cpu > 90 in 3 of the last 5 points"),
        ("cpu above 90 in at least 3 out of 5 points", "cpu > 90 in 3 of the last 5 points"),
        ("cpu > 90 3 of 5", "cpu > 90 in 3 of the last 5 points"),
        ("cpu > 90 in every sample of the last 5 minutes", "cpu > 90 in all points of 5m"),
        ("cpu > 90 in 4 points within 10m", "cpu > 90 in at least 4 points of 10m"),
        ("price drops below 5", "price < 5"),
        ("cpu > 90 until < 75", "cpu > 90 recover < 75"),
        ("cpu above 90 for 5m recovers when below 75", "cpu > 90 recover < 75 for 5m"),
        ("age(last_backup) > 90000", "age(last_backup) > 1d1h"),
        ("a > 5 and b > 3 or c > 2 and d > 1", "(a > 5 and b > 3) or (c > 2 and d > 1)"),
        ("a > 5 or b > 3 or c > 2", "a > 5 or b > 3 or c > 2"),
        ("(a > 5 and b > 3) and c > 2", "(a > 5 and b > 3) and c > 2"),
        ("a > 5 and b > 3 unless c > 2", "(a > 5 and b > 3) unless c > 2"),
        ("not a > 5 and b > 3", "not (a > 5) and b > 3"),
        ("not (not (a > 5))", "not (not (a > 5))"),
        ("a > 5 && b > 3 || c > 2", "(a > 5 and b > 3) or c > 2"),
        ("((a)) > ((5))", "a > 5"),
        ("((a > 5))", "a > 5"),
        ("temperature between 18 and 26 and humidity > 60", "temperature inside 18..26 and humidity > 60"),
        ("a == 5 within 1 and b > 3", "a == 5 within 1 and b > 3"),
        ("latency within 5 to 10 and b > 3", "latency inside 5..10 and b > 3"),
        ("-a > 5", "-1 * a > 5"),
        ("-(5) < a", "-5 < a"),
        ("a -5 > 3", "a - 5 > 3"),
        ("a--5 > 3", "a - -5 > 3"),
        ("a * 2 + b × 3 ÷ 4 > 5", "a * 2 + b * 3 / 4 > 5"),
        ("max(cpu, 5m) > 5", "max(cpu, 5m) > 5"),
        ("max(cpu) > 5", "max(cpu, 5m) > 5"),
        ("max(cpu) by (host) > 5", "max by (host) (cpu) > 5"),
        ("max(cpu, 5m) by (host) > 5", "max by (host) (max(cpu, 5m)) > 5"),
        ("sum(rate(errors, 5m)) by (host) > 5", "sum by (host) (rate(errors, 5m)) > 5"),
        ("sum(rate(errors, 5m)) > 5", "sum by () (rate(errors, 5m)) > 5"),
        ("sum of all rate > 5", 'sum by () ("rate") > 5'),
        ("quantile(0.9, cpu) by (host) > 5", "p90 by (host) (cpu) > 5"),
        ("average cpu by host over 5m > 90", "avg by (host) (avg(cpu, 5m)) > 90"),
        ('a == "b"', 'a == "b"'),
        ('a == ("b c")', 'a == latest("b c", 5m)'),
        ('a > "b c"', 'a > "b c"'),
        ('a == "b c" + 1', 'a == "b c" + 1'),
        ("status = 'down'", 'status == "down"'),
        ("change(price, 1h, %) > 5", "change(price, 1h) > 5%"),
        ("forecast(disk_used offset 1d, 6h, 4h) > 95", "forecast(disk_used, 6h, 4h) offset 1d > 95"),
        (
            'no data on up for 15m expecting {b="1", a="2"} and {a="3"}',
            'no data on up for 15m expecting {a="2", b="1"}, {a="3"}',
        ),
        ("age(last_backup) > 0.5", "age(last_backup) > 500ms"),
    ],
)
def test_many_spellings_mean_the_same(spelling: str, expected: str) -> None:
    assert canonical(spelling) == expected


def test_the_grammar_is_not_ambiguous(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, lark_logger.name):
        Lark(grammar(), parser="lalr", debug=True, g_regex_flags=re.IGNORECASE)
    assert not [record.message for record in caplog.records if "conflict" in record.message.lower()]


def test_what_people_say_is_understood() -> None:
    lines = (Path(__file__).parent / "spellings.tsv").read_text().splitlines()
    spoken = [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]
    wrong = {}
    for text, expected in spoken:
        try:
            found = canonical(text)
        except InvalidCondition as error:
            found = error.message
            assert "Write for example" in found or "say" in found
        if found != expected:
            wrong[text] = found
    assert len(spoken) >= 180
    assert len(wrong) <= 0.05 * len(spoken), wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"type":"threshold","field":"price","operator":">","value":60000,"aggregation":"latest"}',
            "price > 60000",
        ),
        ('{"field":"price","operator":"==","value":5}', "price == 5 within 0.001"),
        ('{"field":"price","operator":"!=","value":"5","aggregation":"avg"}', "avg(price, 5m) != 5 within 0.001"),
        (
            '{"field":"a","operator":"<","value":1,"aggregation":"max","window":"10m","for":120}',
            "max(a, 10m) < 1 for 2m",
        ),
        ('{"type":"range","field":"a","min":1,"max":2,"outside":true}', "a outside 1..2"),
        ('{"field":"a","operator":">","value":1,"aggregation":"p99.9"}', "p99.9(a, 5m) > 1"),
        ('{"field":"a","operator":">","value":1,"aggregation":"rate","window":60}', "rate(a, 1m) > 1"),
        ('{"type":"absence","duration":900}', "no data for 15m"),
        ('{"type":"absence","field":"a","duration":"15m","tags":{"cpu":"0"}}', 'no data on a{cpu="0"} for 15m'),
        ('{"field":"status","operator":"==","value":"down"}', 'status == "down"'),
        ('{"field":"code","operator":"!=","value":"200"}', "code != 200 within 0.001"),
        ('{"field":"state","operator":"in","value":["failed","5"],"for":"5m"}', 'state in ("failed", "5") for 5m'),
        (
            '{"type":"change","field":"price","operator":"<","value":-5,"offset":"1h","percent":true}',
            "change(price, 1h) < -5%",
        ),
        (
            '{"type":"anomaly","field":"requests","aggregation":"avg","operator":">","value":4,"past":"7d","season":"daily"}',
            "anomaly(avg(requests, 5m), 7d, daily) > 4",
        ),
        (
            """{"type":"and","on":["host"],"for":60,"conditions":[{"field":"a","operator":">","value":1},
            {"type":"not","condition":{"type":"absence","duration":"15m"}}]}""",
            "a > 1 and on (host) not (no data for 15m) for 1m",
        ),
        (
            """{"type":"or","conditions":[{"field":"a","operator":">","value":1},{"type":"unless","conditions":
            [{"field":"b","operator":">","value":1},{"field":"c","operator":">","value":1}]}]}""",
            "a > 1 or (b > 1 unless c > 1)",
        ),
    ],
)
def test_the_first_products_json_is_understood(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("cpu >", "at the end", "expected a number"),
        ("cpu", "at the end", "expected a comparison"),
        ("cpu > > 5", "(character 7)", "expected a number"),
        ("avg(cpu 5m) > 9", "(character 9)", "expected a comma or `)`"),
        ("holtwinters(latency, 10m) > 5", "'holtwinters'", "there are latest, first, avg, min, max, sum, count"),
        ("quantile(1.5, latency, 10m) > 5", "1.5", "`p95(latency, 5m)` for 0.95"),
        ("change(price, 1h) outside -5..5%", "one bound", "`-5%..5%`"),
        ("change(price, 0s) > 5", "0s", "change(price, 1h)"),
        ("age(max(x, 5m)) > 1d", "newest value", "`age(x)`"),
        ("age(last_backup) > 5%", "'%'", "leave `%` out"),
        ("change(price, 1h) > 5m", "'m'", "a duration goes with an age"),
        ("forecast(disk, 6h, 40d) > 95", "40d", "say 1ns to 31d"),
        ("cpu offset 40d > 5", "40d", "at most 31d"),
        ("cpu > 90 in 6 of the last 5 points", "6 of 5", "can never be"),
        ("cpu > 90 in 0 of the last 5 points", "0 points", "3 of the last 5"),
        ("cpu inside 1..5 in 2 of the last 5 points", "not by a range", "3 of the last 5"),
        ("avg(cpu, 5m) > 90 in 3 of the last 5 points", "one by one", "cpu > 90 in 3 of"),
        ("avg(cpu, 5m) > 90 in all points of 5m", "as well", "all points of 5m"),
        ("cpu > 90 in 3 of the last 20000 points", "10,000", "3 of the last 5"),
        ("averge(latency, 10m) > 5", "'averge'", "did you mean avg?"),
        ("cpu > 90 and", "at the end", "expected a number or a field's name"),
        ("cpu > 90 for 5m and load > 5", "'and'", "`for` holds for the whole condition"),
        ("cpu > 80 recover > 90", "while the condition does", "where it is over"),
        ("cpu > 80 recover < 90", "while the condition does", "where it is over"),
        ("cpu <= 20 recover >= 10", "while the condition does", "where it is over"),
        ("cpu > 90 and load > 8 recover < 5", "single comparison", "cpu > 90 recover < 75"),
        ("cpu > 90 and (load > 8 recover < 5)", "'recover'", "expected"),
        ("a > 5 and on () b > 3", "(character 15)", "a field's name"),
        ("a + on (host) 5 > 3", "a number has none", "leave it out"),
        ("a / on (host, host) b > 3", "twice", "name each once"),
        ("a / 0 > 3", "division by 0", "divide by something else"),
        ("a / (1 - 1) > 3", "division by 0", "divide by something else"),
        ("a > 1e308 * 10", "too large", "write a number"),
        ("avg(a, 0s) > 3", "the window 0s is out of bounds", "say 1ns to 31d"),
        ("1 > 2", "number is compared with a number", "cpu_percent > 90"),
        ("5 < cpu recover > 3", "which is a number", "put the field there"),
        ("5 inside 1..2", "number is compared with a number", "name a field"),
        ("sum by (host) (5) > 3", "no series", "sum by (host) (x)"),
        ("rate(x, 5m) by (host) > 5", "rate can't make one number", "sum by (host) (rate(x, 5m))"),
        ("avg(a + b, 5m) > 5", "one field at a time", "avg(a, 5m) + avg(b, 5m)"),
        ("max(cpu, 5m) by (host) over 5m > 5", "two windows", "avg by (host)"),
        ("change(a + b, 1h) > 5", "`change` looks at one field", "change(price, 1h)"),
        ("forecast(avg(a, 5m), 6h, 4h) > 5", "own points", "forecast(disk_used, 6h, 4h)"),
        ("sum(rate(x, 5m)) offset 1d > 5", "belongs to one field", "x offset 1d"),
        ("anomaly(x, 5m) > 3", "must be longer than the window", "anomaly(avg(x, 5m), 1d)"),
        ("anomaly(x, 40d) > 3", "40d", "say 1s to 31d"),
        ("anomaly(x, 1d, daily) > 3", "at least 2d", "anomaly(x, 4d, daily)"),
        ("anomaly(x, 7d, weekly) > 3", "at least 14d", "anomaly(x, 28d, weekly)"),
        ("anomaly(x, 7d, yearly) > 3", "'yearly'", "`daily` or `weekly`"),
        ('status > "down" + 1 and status in ("a"', "at the end", "a comma or `)`"),
        ("status in (5)", "'5'", "a text in quotes"),
        ('status == "down" or "failed"', "at the end", 'state in ("failed", "unknown")'),
        ('status == "down" within 5', "no tolerance", "leave `within` out"),
        ('status == "down" recover < 5', "text with a number", "the same as the condition"),
        ('avg(status, 5m) == "down"', "as it is", 'status == "down"'),
        ('no data for 5m expecting {host!="a"}', "one value each", 'expecting {host="a"}'),
        ('no data for 5m expecting {host="a", host="b"}', "twice", "name each once"),
        ('no data for 5m expecting {host="a"}, {host="a"}', "expected twice", "say each once"),
        ("a > b in 3 of the last 5 points", "with a number or a text", "3 of the last 5"),
        ("not " * 21 + "a > 5", "21 levels", "at most 20"),
        (" + ".join("a" * 22) + " > 5", "21 levels", "sum by () (x)"),
        ("(" * 100 + "a > 5" + ")" * 100, "100 parentheses", "at most 20"),
        (" or ".join(["a > 5"] * 51), "more than 50 fields", "several rules"),
        (f"sum by ({', '.join(f't{n}' for n in range(101))}) (x) > 5", "101 tags", "at most 100"),
        ("x in ('a'" + ", 'a'" * 100 + ")", "101 texts", "1 to 100"),
        ("x > 1e308 * 1e309", "inf", "finite"),
        ("no data for 5m recover < 75", "silence", "leave it out"),
        ("cpu > 90 recover < 75 recover < 70", "2 times", "say it once"),
        ("cpu > 90 for 5m recover < 75 for 5m", "2 times", "say it once"),
        ("change(price, 1h) > 5 recover < 1%", "another unit", "the same one"),
        ("avg(cpu, 5m) > 90 recover", "at the end", "a comparison"),
        ('cpu{host=~"a(b"} > 5', "'a(b'", "RE2's syntax"),
        ('cpu{host=~"(?<=a)b"} > 5', "isn't a regular expression", "web-[0-9]+"),
        ('cpu{host!~"(x{900}){900}"} > 5', "isn't a regular expression", "web-[0-9]+"),
        ("sum by (host) cpu > 5", "'cpu'", "expected `(`"),
        ("cpu > 90%", "'%'", "leave `%` out"),
        ("cpu stays above 80 percent for ten seconds", "'percent'", "leave `percent` out"),
        ("response_time > 500ms", "'ms'", "leave 'ms' out; 500ms is 0.5 in a field of seconds and 500 in one of"),
        ("response_time > 0.5s", "'s'", "0.5s is 0.5 in a field of seconds and 500 in one of milliseconds"),
        ("disk_free < 10 GiB for 5m", "'GiB'", "Write for example `disk_free < 10737418240 for 5m`"),
        ("disk_bytes > 1.5TB", "'TB'", "1.5 TB is 1500000000000 in a field of bytes"),
        ("disk_bytes > 1.5e3 TB", "'TB'", "`disk_bytes > 1500000000000000`"),
        ("disk_bytes > 1e308GB", "'GB'", "leave 'GB' out"),
        ("disk_percent < 10 by path", "'by'", "`sum by (host) (disk_percent) < 10`"),
        ("cpu above 90 in the night", "'in'", "Write for example `cpu > 90`"),
        ("speed > 90rpm", "'rpm'", "leave 'rpm' out. Write for example `speed > 90`"),
        ("cpu > 90 for ever", "'ever'", "a duration such as `5m`"),
        ("x outside 5", "at the end", "two bounds as `20..400`"),
        ("cpu > 1e999", "inf", "finite"),
        ("no data for 100d", "100d", "1s to 31d"),
        ("x inside 5..1", "5", "`1..5`"),
        ("avg(cpu, 40d) > 1", "40d", "31d"),
        ("cpu > 5 within 1", "tolerance", "leave it out"),
        ("", "empty", "avg(cpu_percent, 5m) > 90"),
        ("{", "character", "isn't valid JSON"),
        ('{"field":"x","operator":"~","value":1}', "'operator'", "one of >"),
        ('{"field":"x","operator":">","value":null}', "'value' is missing", "a number"),
        ('{"field":"x","operator":">","value":1,"thresh":2}', "'thresh'", "isn't a key"),
        ('{"field":"\\ud800","operator":">","value":1}', "JSON", "write for example"),
        ('{"type":"absence","duration":true}', "'duration'", "a duration"),
        ('{"type":"xor"}', "'type'", "threshold, range, absence, change, anomaly, and, or, unless, not"),
        ('{"type":"and","conditions":5}', "'conditions'", "a list of conditions"),
        ('{"type":"and","conditions":[{"field":"a","operator":">","value":1}]}', "joins 1", "at least two"),
        ('{"type":"and","condition":[]}', "'condition'", "did you mean 'conditions'?"),
        ('{"type":"not"}', "'condition' is missing", "a condition as an object"),
        ('{"type":"not","condition":{"type":"absence","duration":"5m","for":"5m"}}', "'for'", "outermost"),
        ('{"type":"and","conditions":[],"on":"host"}', "'on'", '["host"]'),
        ('{"type":"change","field":"a","operator":">","value":1}', "'offset' is missing", '"1h"'),
        ('{"type":"anomaly","field":"a","operator":">","value":1}', "'past' is missing", '"1d"'),
        ('{"type":"anomaly","field":"a","operator":">","value":1,"past":"9d","season":"x"}', "'season'", "daily or"),
        ('{"field":"a","operator":"in","value":"x"}', "'value'", "a list of texts"),
        ('{"field":"a","operator":">","value":"x"}', "'value'", "a number"),
        (
            '{"type":"not","condition":' * 21 + '{"type":"absence","duration":"5m"}' + "}" * 21,
            "20 levels",
            "at most 20",
        ),
        ('{"type":"not","condition":' * 100 + "{}" + "}" * 100, "20 levels", "at most 20"),
    ],
)
def test_an_error_names_the_place_and_the_fix(text: str, place: str, hint: str) -> None:
    message = problem(text)
    assert message.startswith("rule.condition_text: ")
    assert place in message
    assert hint in message


def test_a_corrected_example_uses_the_name_that_was_written() -> None:
    assert problem("response_time >").endswith("Write for example `response_time > 500`")


@pytest.mark.parametrize(
    "text",
    [
        "cpu >", "avg(cpu 5m) > 9", "x outside 5", "no data", "cpu{", "((", "a > 5 and", "sum by (host) cpu > 5",
        "status in (", 'status == "down" or "b"', "cpu + > 5", "cpu by host > 5", "a > 5 or or b > 3", "avg(cpu,) > 5",
        "anomaly(x) > 5", "not", "a and b",
    ],
)  # fmt: skip
def test_every_corrected_example_can_be_read(text: str) -> None:
    example = problem(text).rpartition("Write for example `")[2].removesuffix("`")
    assert canonical(example) == example


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 4096,
        "avg(" * 1000,
        "{" * 4096,
        '{"a":' * 800,
        "[" * 4096,
        "not " * 1000,
        "1" * 4096,
        "cpu > " + "9" * 4000,
        '"' * 4095,
        "cpu{" + 'a="b",' * 600,
        "no data for " + "1h" * 2000,
        "cpu > 5 for " + "9" * 4000,
        "a." * 2048,
        "is " * 1300,
        " " * 4096,
    ],
)
def test_a_bomb_is_refused_at_once(bomb: str) -> None:
    begin = time.process_time()
    with pytest.raises(InvalidCondition) as raised:
        raise check_condition(parse_condition(bomb, "rule.condition_text").condition, "x")[0]
    assert len(raised.value.message) < 1000
    assert time.process_time() - begin < 1


def test_a_text_that_is_too_long_is_not_even_read() -> None:
    assert "at most 4,096" in problem("x" * 4097)
