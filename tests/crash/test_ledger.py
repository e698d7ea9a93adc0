"""The ledger itself: what a kill leaves behind must not make it unreadable."""

import urllib.request
from pathlib import Path

from tests.crash.ledger import LedgerProcess, read


def test_a_line_that_a_kill_has_cut_off_is_left_out_by_the_next_run_too(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path / "ledger.jsonl", seed=1)
    ledger.start()
    try:
        _send(ledger, "first")
        ledger.kill()
        with ledger.file.open("a") as file:
            file.write('{"path": "acme", "body": "cut o')
        assert [entry.body for entry in read(ledger.file)] == ["first"]
        ledger.start()
        _send(ledger, "second")
        assert [entry.body for entry in read(ledger.file)] == ["first", "second"]
    finally:
        ledger.kill()


def _send(ledger: LedgerProcess, body: str) -> None:
    with urllib.request.urlopen(ledger.url("acme"), body.encode(), timeout=10) as answer:
        assert answer.status == 200
