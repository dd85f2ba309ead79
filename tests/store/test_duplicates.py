"""What was delivered twice is recognised, what only looks alike is not."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan.store import Duplicates

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = ("trace_id", "span_id")
WINDOW = timedelta(minutes=15)

rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(-3, 3)),
    max_size=20,
)


def frame(found: list[tuple[str, str, int]], accepted: datetime = NOW) -> pl.DataFrame:
    schema = {"trace_id": pl.String, "span_id": pl.String, "content": pl.Int64}
    time = pl.lit(accepted).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(found, schema=schema, orient="row").with_columns(received_time=time)


@given(st.lists(rows, max_size=12))
@settings(deadline=None)
def test_a_row_is_a_duplicate_exactly_when_it_came_before(batches: list[list]) -> None:
    seen = Duplicates(IDS, WINDOW)
    known: set[tuple[str, str, int]] = set()
    for number, batch in enumerate(batches):
        marked = seen.mark(frame(batch), NOW + timedelta(seconds=number))
        for row, duplicate in zip(batch, marked, strict=True):
            assert duplicate == (row in known)
            known.add(row)
    assert len(seen) == len(known)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8)), min_size=2, max_size=60),
    st.integers(1, 59),
)
@settings(deadline=None)
def test_who_reads_the_kept_rows_back_comes_to_the_same_answers(
    came: list[tuple[int, int]], restart: int
) -> None:
    window = timedelta(seconds=10)
    seen, again = Duplicates(IDS, window), Duplicates(IDS, window)
    kept = [frame([])]
    now = NOW
    for number, (row, wait_seconds) in enumerate(came):
        now += timedelta(seconds=wait_seconds)
        if number == restart:
            again.remember(pl.concat(kept), now)
        rows = frame([("t", f"s{row}", row)], now)
        repeated = seen.mark(rows, now)
        if number >= restart:
            assert again.mark(rows, now).to_list() == repeated.to_list()
        kept.append(rows.filter(~repeated))


def test_same_ids_with_other_bytes_are_another_span() -> None:
    seen = Duplicates(IDS, WINDOW)
    seen.mark(frame([("a", "x", 1)]), NOW)
    assert seen.mark(frame([("a", "x", 2)]), NOW).to_list() == [False]


def test_what_is_older_than_the_window_is_forgotten() -> None:
    seen = Duplicates(IDS, WINDOW)
    seen.mark(frame([("a", "x", 1)]), NOW)
    later = NOW + WINDOW + timedelta(seconds=1)
    assert seen.mark(frame([("a", "x", 1)]), later).to_list() == [False]


def test_what_comes_all_the_time_does_not_keep_older_rows_alive() -> None:
    seen = Duplicates(IDS, WINDOW)
    for second in range(int(WINDOW.total_seconds()) + 2):
        now = NOW + timedelta(seconds=second)
        seen.mark(frame([("a", f"s{second}", second)], now), now)
    assert seen.mark(frame([("a", "s0", 0), ("a", "s9", 9)]), now).to_list() == [False, True]


def test_rows_that_are_stored_already_are_remembered() -> None:
    seen = Duplicates(IDS, WINDOW)
    seen.remember(frame([("a", "x", 1)]), NOW)
    assert seen.mark(frame([("a", "x", 1), ("a", "y", 1)]), NOW).to_list() == [True, False]


def test_many_segments_are_kept_in_few_runs() -> None:
    seen = Duplicates(IDS, WINDOW)
    for number in range(200):
        seen.mark(frame([(f"t{number}", f"s{i}", i) for i in range(10)]), NOW)
    assert len(seen) == 2000
    assert len(seen._runs) <= 12
