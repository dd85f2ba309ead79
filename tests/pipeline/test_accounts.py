"""The differences of the ledger, counted on: 0 in health, else what is missing."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from read_world import World

from evalspan import pipeline, testing
from evalspan.model import SCORES, SPANS, Table
from evalspan.pipeline import _accounts
from evalspan.pipeline._accounts import Accounts
from evalspan.pipeline._gauges import gauges
from evalspan.pipeline._judge import Judging
from evalspan.pipeline._word import write_word
from evalspan.store import Store

CHECKLIST = """
checklists:
  tone:
    questions: {good: "Is it an object?"}
"""
SAID = {"question": "good", "answer": "yes", "quote": "Thing"}


class Books:
    """A world with a check and a judge, and its accounts."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, more=CHECKLIST)
        self.accounts = Accounts(
            self.world.settings.log_folder, self.world.tables, self.world.settings.checklists
        )
        self.next = 1

    def calls(self, count: int) -> None:
        numbers = range(self.next, self.next + count)
        self.world.take_in(*(self.world.call(n, "v1", good=True, hours=1) for n in numbers))
        self.next += count

    def judge(self, answers: int) -> None:
        ask: Any = testing.ScriptedAsk([{"answers": [SAID]}] * answers)
        while Judging(self.world.settings, self.world.tables, ask).step():
            continue

    def balance(self) -> tuple[int, int, int, int]:
        """Return spans unaccounted, of the check, of the judge, and what the judge has to do."""
        found = self.accounts.look()
        checks = found["evaluations_unaccounted"]
        pending = found["evaluations_pending"]
        return found["spans_unaccounted"], checks["json_valid"], checks["tone"], pending["tone"]


def test_the_accounts_of_a_healthy_sidecar_are_zero_at_every_moment(tmp_path: Path) -> None:
    books = Books(tmp_path)
    assert books.accounts.look()["evaluations_unaccounted"] == {"tone": 0}
    books.calls(3)
    assert books.balance() == (0, 0, 0, 3)
    books.calls(2)
    assert books.balance() == (0, 0, 0, 5)
    books.judge(5)
    assert books.balance() == (0, 0, 0, 0)
    books.calls(1)
    books.world.take_in(
        books.world.call(1, "v1", good=True, hours=1),  # came before
        testing.span(number=9, trace=9, attributes={"x": "y"}),
    )
    assert books.balance() == (0, 0, 0, 2)
    line = next(x for x in pipeline.read_ledger(books.world.settings).checks if x.check == "tone")
    assert line.pending == 2


@pytest.mark.parametrize(
    ("table", "lost", "missing"),
    [
        (SPANS, pl.lit(value=True), (1, 0, 0, 0)),
        (SCORES, pl.col("evaluator") == "check", (0, 1, 0, 0)),
        (SCORES, pl.col("evaluator") == "judge", (0, 0, 1, 0)),
    ],
    ids=["a span", "a verdict", "an answer"],
)
def test_what_is_lost_is_shown(
    table: Table,
    lost: pl.Expr,
    missing: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    books = Books(tmp_path)
    books.calls(1)
    books.judge(1)
    assert books.balance() == (0, 0, 0, 0)
    books.calls(2)
    books.judge(2)
    whole = Store.scan
    ours = pl.col("trace_id") == testing.trace_id(2).hex()

    def without(self: Store, asked: Table) -> pl.LazyFrame:
        frame = whole(self, asked)
        return frame.filter(~(lost & ours)) if asked is table else frame

    monkeypatch.setattr(Store, "scan", without)
    assert books.balance() == missing


def test_a_look_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(tmp_path)
    books.calls(2)
    books.judge(2)
    before = books.balance()
    read: list[str] = []
    whole = Store.scan

    def scan(self: Store, table: Table) -> pl.LazyFrame:
        read.append(table.name)
        return whole(self, table)

    monkeypatch.setattr(Store, "scan", scan)
    assert books.balance() == before
    assert read == []


def accounts_of(books: Books, checklists: tuple[str, ...]) -> dict[str, Any]:
    """Return what a process that begins now counts."""
    world = books.world
    return Accounts(world.settings.log_folder, world.tables, checklists).look()


@pytest.mark.parametrize("answers", [0, 2, 5])
def test_nothing_is_missing_of_a_judge_that_left_the_config(answers: int, tmp_path: Path) -> None:
    books = Books(tmp_path)
    for count in (2, 3):
        books.calls(count)
        if answers >= books.next - 1:
            books.judge(count)
    found = accounts_of(books, ())
    assert set(found["evaluations_unaccounted"].values()) == {0}
    assert found["evaluations_pending"] == {}
    # and when it comes back, it goes on where it was
    found = accounts_of(books, ("tone",))
    assert set(found["evaluations_unaccounted"].values()) == {0}
    assert found["evaluations_pending"] == {"tone": 5 - answers}


def test_many_segments_are_compared_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = Books(tmp_path)
    for count in (1, 2, 1, 6, 1, 1, 2):
        if books.next == 11:
            books.judge(10)
        books.calls(count)
    whole = accounts_of(books, ("tone",))
    monkeypatch.setattr(_accounts, "AT_ONCE", 6)
    parted = Accounts(books.world.settings.log_folder, books.world.tables, ("tone",))
    parts = list(pairwise([0, *parted._parts(0, 7)]))
    expected = [parted._expected(begun, done) for begun, done in parts]
    assert (parts[-1][1], sum(expected)) == (7, 2 * 14)
    assert [n for n, (begun, done) in zip(expected, parts, strict=True) if done - begun > 1] == [
        6,
        6,
    ]
    assert max(expected) == 12  # a segment is not taken apart
    assert parted.look() == whole
    assert whole["evaluations_unaccounted"] == {"json_valid": 0, "tone": 0}
    assert whole["evaluations_pending"] == {"tone": 4}


def test_what_is_deleted_by_segments_is_missed_by_nobody(tmp_path: Path) -> None:
    """The tables that the README names, with the predicate that it names."""
    books = Books(tmp_path)
    for _ in range(4):
        books.calls(2)
    books.judge(8)
    for name in ("spans", "events", "ledger", "settled", "scores", "quarantine"):
        path = books.world.settings.tables_folder / name
        if path.exists():
            DeltaTable(path).delete("segment <= 2")
    fresh = pipeline.store_of(books.world.settings)
    found = Accounts(books.world.settings.log_folder, fresh, ("tone",)).look()
    assert found == {
        "spans_unaccounted": 0,
        "evaluations_unaccounted": {"json_valid": 0, "tone": 0},
        "evaluations_pending": {"tone": 0},
    }
    assert pipeline.read_ledger(books.world.settings).balanced
    books.calls(1)  # and it goes on
    books.judge(1)
    assert pipeline.read_ledger(books.world.settings).balanced


def test_a_scrape_shows_the_accounts(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.calls(2)
    settings = books.world.settings
    write_word(settings.run_folder / "accounts.json", books.accounts.look(), sync=False)
    evaluator = pipeline.evaluator_of(settings)
    write = pipeline.write_side_of(settings, books.world.tables, evaluator)
    found = {
        (g.name, g.labels.get("check", "")): g.value for g in gauges(settings, write, evaluator)
    }
    evaluator.close()
    assert found["evalspan_spans_unaccounted", ""] == 0
    assert found["evalspan_evaluations_unaccounted", "json_valid"] == 0
    assert found["evalspan_evaluations_unaccounted", "tone"] == 0
    assert found["evalspan_evaluations_pending", "tone"] == 2
