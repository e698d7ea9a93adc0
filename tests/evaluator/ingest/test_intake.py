"""The intake: what is answered is durable, in order, and told to RuleService and the engine first."""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from monitors.evaluator.catalogue import MAX_NAME, MAX_TAGS
from monitors.evaluator.intake import EXPIRED, FUTURE, Written
from monitors.evaluator.lines import Naming, parse_lines
from monitors.evaluator.model.texts import code_of
from monitors.evaluator.waiting import Line
from monitors.mesh.errors import QuotaExceeded, ServiceUnavailable, StorageUnavailable
from monitors.mesh.times import MINUTE, now_nanos
from tests.evaluator.ingest.parts import RETENTION, RuleBook, WaysIn, rule_book, ways_in
from tests.harness import LoopThread


def submit(loop_thread: LoopThread, opened: WaysIn, body: str, tenant: str = "acme") -> Future[Written]:
    parsed = parse_lines(body.encode(), Naming(tenant), 1, now_nanos())
    assert parsed.errors == []
    return loop_thread.submit(opened.intake.write(parsed.submission))


def write(loop_thread: LoopThread, opened: WaysIn, body: str, tenant: str = "acme") -> Written:
    return submit(loop_thread, opened, body, tenant).result(30)


def reasons(written: Written) -> list[str]:
    return [refusal.reason for refusal in written.refusals]


def test_a_series_is_reported_and_told_before_its_first_batch(
    loop_thread: LoopThread, opened: WaysIn, book: RuleBook
) -> None:
    assert write(loop_thread, opened, "m,host=web x=1,y=2i") == Written(2, ())
    assert book.reported == [("acme", "web", "x"), ("acme", "web", "y")]
    write(loop_thread, opened, "m,host=web x=3")
    write(loop_thread, opened, "m,host=web z=4")
    assert [one if kind == "series" else one.number for kind, one in opened.evaluated.told] == [
        ["x", "y"], 1, 2, ["z"], 3,
    ]  # fmt: skip
    assert len(book.reported) == 3


def test_what_waits_is_committed_together_in_its_order(loop_thread: LoopThread, opened: WaysIn) -> None:
    write(loop_thread, opened, f'm x=0,s="0" {now_nanos()}')

    async def burst() -> list[Written]:
        bodies = [f'm x={place},s="{place}" {now_nanos()}\n' for place in range(1, 51)]
        writes = [
            opened.intake.write(parse_lines(one.encode(), Naming("acme"), 1, now_nanos()).submission) for one in bodies
        ]
        return await asyncio.gather(*writes)

    assert all(written == Written(2, ()) for written in loop_thread.run(burst()))
    batches = opened.evaluated.batches
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    # The first to come is committed alone, and meanwhile the others wait for one another.
    assert len(batches) <= 5
    values = [value for batch in batches for value in batch.values.tolist()]
    assert values == [value for place in range(51) for value in (place, code_of(str(place)))]
    stored = loop_thread.run(opened.store.read_series([1], 0, 2**63 - 1))
    assert [stored.texts[place] for place in stored.values.tolist()] == [str(place) for place in range(51)]


def test_a_field_keeps_its_first_type_and_the_others_points_are_refused(
    loop_thread: LoopThread, opened: WaysIn, book: RuleBook
) -> None:
    book.types["acme", "web", "m", "elsewhere"] = 1
    written = write(loop_thread, opened, 'm,host=web x=1,elsewhere=1i\nm,host=web,a=b x="a"\nm,host=web x=2')
    assert written.accepted == 2
    assert reasons(written) == [
        'field type conflict: input field "elsewhere" on measurement "m" is type integer, already exists as type float',
        'field type conflict: input field "x" on measurement "m" is type string, already exists as type float',
    ]
    assert write(loop_thread, opened, "m,host=web elsewhere=1") == Written(1, ())
    assert len(opened.catalogue) == 2


def test_points_of_the_far_future_and_beyond_retention_are_refused(loop_thread: LoopThread, opened: WaysIn) -> None:
    now = now_nanos()
    times = (now, now + 9 * MINUTE, now + 11 * MINUTE, now - RETENTION - MINUTE)
    written = write(loop_thread, opened, "\n".join(f"m x={place} {time}" for place, time in enumerate(times)))
    assert (written.accepted, reasons(written)) == (2, [FUTURE, EXPIRED])
    assert write(loop_thread, opened, f"m,host=new x=1 {now + 11 * MINUTE}").accepted == 0
    assert len(opened.catalogue) == 1


def test_without_rule_service_known_series_are_taken_and_new_ones_wholly_refused(
    loop_thread: LoopThread, folder: Path
) -> None:
    socket = f"unix:{folder / 'rules.sock'}"
    with loop_thread.opened(ways_in(folder)) as opened:
        with loop_thread.opened(rule_book(socket)):
            write(loop_thread, opened, "m x=1")
        assert write(loop_thread, opened, "m x=2") == Written(1, ())
        with pytest.raises(ServiceUnavailable, match="nothing was changed"):
            write(loop_thread, opened, "m x=3,y=3")
        assert len(opened.evaluated.batches) == 2
    # Nor did a restart bring any of it to light.
    with loop_thread.opened(ways_in(folder)) as opened:
        assert [series.key.field for series in opened.catalogue.all()] == ["x"]


def test_a_quota_of_rule_service_is_told_in_its_words(loop_thread: LoopThread, opened: WaysIn, book: RuleBook) -> None:
    book.full = True
    with pytest.raises(QuotaExceeded, match="100 monitors"):
        write(loop_thread, opened, "m x=1")


def test_many_new_series_are_reported_in_messages_that_fit_and_each_field_once(
    loop_thread: LoopThread, folder: Path, book: RuleBook
) -> None:
    count, filler = 3_000, "ü" * 245
    lines = [f"m{filler},host={place}{filler},core={core} x{filler}=1" for place in range(count) for core in (0, 1)]
    with loop_thread.opened(ways_in(folder, max_series=2 * count)) as opened:
        assert write(loop_thread, opened, "\n".join(lines)) == Written(2 * count, ())
        assert len(opened.catalogue) == 2 * count
    assert book.reported == [("acme", f"{place}{filler}", f"x{filler}") for place in range(count)]


def test_a_tenant_has_a_limit_of_series_of_its_own(loop_thread: LoopThread, opened: WaysIn) -> None:
    body = "\n".join(f"m,host=h{place} x=1" for place in range(103))
    written = write(loop_thread, opened, body)
    assert (written.accepted, written.refused) == (100, 3)
    assert "100 series already" in written.refusals[0].reason
    assert write(loop_thread, opened, "m,host=h1 x=2").accepted == 1
    assert write(loop_thread, opened, "m,host=h1 x=2", tenant="other").accepted == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("m,host=" + "h" * (MAX_NAME + 1) + " x=1", "monitor id has 257 characters"),
        ("m " + "x" * (MAX_NAME + 1) + "=1", "field has 257"),
        ("m\x07 x=1", "control character"),
        ("m" + "".join(f",t{place}=1" for place in range(MAX_TAGS + 1)) + " x=1", "at most 64"),
        ("m,a=" + "v" * 1_025 + " x=1", "tag 'a'"),
    ],
)
def test_a_name_that_nobody_could_use_is_refused(
    loop_thread: LoopThread, opened: WaysIn, line: str, reason: str
) -> None:
    written = write(loop_thread, opened, line + "\nm x=1")
    assert written.accepted == 1
    assert reason in written.refusals[0].reason


def test_a_full_disk_refuses_and_loses_nothing_and_is_forgiven(loop_thread: LoopThread, opened: WaysIn) -> None:
    write(loop_thread, opened, "m x=1")

    async def limit_pages(count: int) -> None:
        await opened.database.write(lambda session: session.execute(text(f"pragma max_page_count = {count}")))

    loop_thread.run(limit_pages(1))
    with pytest.raises(StorageUnavailable, match="disk is full"):
        write(loop_thread, opened, f'm,host=new s="{"a" * 60_000}"')
    assert "disk is full" in opened.intake.problem
    loop_thread.run(limit_pages(1_000_000))
    assert write(loop_thread, opened, 'm,host=new s="b"') == Written(1, ())
    assert opened.intake.problem == ""
    assert [series.key.monitor for series in loop_thread.run(opened.store.series())] == ["m", "new"]
    assert [batch.number for batch in opened.evaluated.batches] == [1, 2]


def test_when_too_much_of_a_tenant_waits_it_alone_is_refused_more(
    loop_thread: LoopThread, folder: Path, book: RuleBook
) -> None:
    with loop_thread.opened(ways_in(folder, max_waiting=6)) as opened:
        write(loop_thread, opened, "m x=1")
        write(loop_thread, opened, "m x=1", tenant="other")

        async def burst() -> list[Written | BaseException]:
            bodies = [(b"m x=1\nm x=2", "acme")] * 4 + [(b"m x=1\nm x=2", "other")] * 2
            writes = [
                opened.intake.write(parse_lines(body, Naming(tenant), 1, now_nanos()).submission)
                for body, tenant in bodies
            ]
            return await asyncio.gather(*writes, return_exceptions=True)

        results = loop_thread.run(burst())
        refused = [place for place, one in enumerate(results) if isinstance(one, QuotaExceeded)]
        assert refused == [2, 3, 5]
        error = results[2]
        assert isinstance(error, QuotaExceeded)
        assert error.message.startswith("4 of your points wait to be stored")
        assert error.retry_after == 5
        # A single write that is larger than the limit is still taken when nothing else waits.
        assert write(loop_thread, opened, "\n".join(f"m x={place}" for place in range(9))).accepted == 9


def test_a_flood_of_one_tenant_keeps_no_other_waiting_for_more_than_two_groups(
    loop_thread: LoopThread, folder: Path, book: RuleBook
) -> None:
    flood = ("m x=1\n" * 20_000).encode()
    with loop_thread.opened(ways_in(folder, max_waiting=4_000_000)) as opened:
        write(loop_thread, opened, "m x=1")
        write(loop_thread, opened, "m x=1", tenant="other")

        async def both() -> tuple[int, list[Written]]:
            submission = parse_lines(flood, Naming("acme"), 1, now_nanos()).submission
            floods = [asyncio.ensure_future(opened.intake.write(submission)) for _ in range(50)]
            await asyncio.sleep(0)
            small = parse_lines(b"m x=2", Naming("other"), 1, now_nanos()).submission
            before = len(opened.evaluated.batches)
            assert await opened.intake.write(small) == Written(1, ())
            return len(opened.evaluated.batches) - before, list(await asyncio.gather(*floods))

        groups, floods = loop_thread.run(both())
        assert groups <= 2
        assert sum(written.accepted for written in floods) == 1_000_000


def test_what_cannot_be_evaluated_in_time_waits_and_then_is_refused(
    loop_thread: LoopThread, folder: Path, book: RuleBook
) -> None:
    with loop_thread.opened(ways_in(folder, max_waiting=3)) as opened:
        write(loop_thread, opened, "m x=1")
        relieved = opened.evaluated.relieved

        async def scenario() -> None:
            relieved.clear()
            one, three = (parse_lines(body, Naming("acme"), 1, now_nanos()).submission
                          for body in (b"m x=2", b"m x=3\nm x=4\nm x=5"))  # fmt: skip
            waiting = asyncio.ensure_future(opened.intake.write(one))
            await asyncio.sleep(0)
            with pytest.raises(QuotaExceeded):
                await opened.intake.write(three)
            assert not waiting.done()
            relieved.set()
            assert await waiting == Written(1, ())

        loop_thread.run(scenario())


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.tuples(st.sampled_from("abcd"), st.integers(1, 30)), st.just(None)), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_each_tenants_writes_keep_their_order_and_every_tenant_is_in_each_group_that_has_room(
    steps: list[tuple[str, int] | None], most: int, share: int
) -> None:
    line: Line[_Write] = Line(100)
    put: dict[str, list[_Write]] = {}
    got: dict[str, list[_Write]] = {}
    waiting: dict[str, list[_Write]] = {}
    for number, step in enumerate([*steps, *[None] * len(steps)]):
        if step:
            write = _Write(*step, number)
            room = 100 - sum(len(one) for own in waiting.values() for one in own)
            own = sum(map(len, waiting.get(write.tenant, [])))
            assert line.add(write.tenant, write) == (not own or own + len(write) <= room)
            if not own or own + len(write) <= room:
                put.setdefault(write.tenant, []).append(write)
                waiting.setdefault(write.tenant, []).append(write)
        elif any(waiting.values()):
            first = {tenant: own[0] for tenant, own in waiting.items() if own}
            group = line.next_group(most, share)
            assert group
            assert len(group) == 1 or sum(map(len, group)) <= most
            if sum(map(len, first.values())) <= most:
                assert all(one in group for one in first.values())
            for tenant in first if len(first) > 1 else ():
                taken = [len(one) for one in group if one.tenant == tenant]
                assert len(taken) <= 1 or sum(taken) <= share
            for one in group:
                got.setdefault(one.tenant, []).append(one)
                waiting[one.tenant].remove(one)
        assert len(line) == sum(len(one) for own in waiting.values() for one in own)
    assert got == put


@dataclass(frozen=True)
class _Write:
    tenant: str
    points: int
    number: int

    def __len__(self) -> int:
        return self.points


def test_closing_finishes_what_waits_and_refuses_what_comes_after(
    loop_thread: LoopThread, opened: WaysIn, book: RuleBook
) -> None:
    write(loop_thread, opened, "m x=1")

    async def last() -> tuple[Written, type[BaseException]]:
        submission = parse_lines(b"m x=2", Naming("acme"), 1, now_nanos()).submission
        waiting = asyncio.ensure_future(opened.intake.write(submission))
        await asyncio.sleep(0)
        opened.intake.close()
        written = await waiting
        with pytest.raises(ServiceUnavailable) as raised:
            await opened.intake.write(submission)
        return written, raised.type

    assert loop_thread.run(last()) == (Written(1, ()), ServiceUnavailable)


def test_everything_is_known_again_after_a_restart(loop_thread: LoopThread, folder: Path, book: RuleBook) -> None:
    with loop_thread.opened(ways_in(folder)) as opened:
        write(loop_thread, opened, 'm,host=web,a=ü x=1,s="t"')
    with loop_thread.opened(ways_in(folder)) as opened:
        assert write(loop_thread, opened, "m,host=web,a=ü x=2") == Written(1, ())
        assert len(opened.catalogue) == 2
        assert "conflict" in reasons(write(loop_thread, opened, "m,host=web,a=ü s=2"))[0]
        assert opened.evaluated.batches[0].number == 2
    assert len(book.reported) == 2
