"""The equation of the checks fails where a score is lost, and only there."""

from pathlib import Path

import polars as pl
import pytest
from replay_world import CHECKS, QUIET, Lives, Requests, settings_of, write_log

from evalspan.model import SCORES
from evalspan.pipeline import Ledger, read_ledger
from evalspan.testing import plain_span, request, span


def _story(*names: str) -> Requests:
    """Return a trace of a model call and of a span for each name, these with the same ids."""
    call = span(number=101, trace=1, parent=100)
    others = [plain_span(name, number=100, trace=1, status="error") for name in names]
    return tuple(("traces", request(one)) for one in (call, *others))


def _book(folder: Path, *names: str) -> Ledger:
    write_log(folder / "log", [_story(*names), *QUIET])
    Lives.of(folder / "log", folder / "data").run()
    return read_ledger(settings_of(folder / "data"))


def test_a_score_that_is_not_there_is_no_pending_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = _book(tmp_path, "answer")
    assert book.balanced
    assert book.pending == 0

    from evalspan.store import Store  # noqa: PLC0415 - what is changed here and nowhere else

    whole = Store.scan

    def without_one_check(self: Store, table: object) -> pl.LazyFrame:
        frame = whole(self, table)  # type: ignore[arg-type]
        return frame.filter(pl.col("check") != "latency") if table is SCORES else frame

    monkeypatch.setattr(Store, "scan", without_one_check)
    book = read_ledger(settings_of(tmp_path / "data"))
    wrong = {line.check for line in book.checks if not line.balanced}
    assert wrong == {"latency"}
    assert not book.balanced


def test_two_spans_with_the_same_ids_are_accounted_for(tmp_path: Path) -> None:
    book = _book(tmp_path, "answer", "ask")
    assert book.balanced
    assert book.pending == 0
    assert {line.check for line in book.checks} == set(CHECKS)
