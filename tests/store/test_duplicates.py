"""What was delivered twice is recognised, what only looks alike is not."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from evalspan.store import Duplicates

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = ("trace_id", "span_id")
WINDOW = timedelta(minutes=15)

rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(-3, 3)),
    max_size=20,
)


def frame(found: list[tuple[str, str, int]]) -> pl.DataFrame:
    schema = {"trace_id": pl.String, "span_id": pl.String, "content": pl.Int64}
    return pl.DataFrame(found, schema=schema, orient="row")


@given(st.lists(rows, max_size=12))
def test_a_row_is_a_duplicate_exactly_when_it_came_before(batches: list[list]) -> None:
    seen = Duplicates(IDS, WINDOW)
    known: set[tuple[str, str, int]] = set()
    for number, batch in enumerate(batches):
        marked = seen.mark(frame(batch), NOW + timedelta(seconds=number))
        for row, duplicate in zip(batch, marked, strict=True):
            assert duplicate == (row in known)
            known.add(row)
    assert len(seen) == len(known)


def test_same_ids_with_other_bytes_are_another_span() -> None:
    seen = Duplicates(IDS, WINDOW)
    seen.mark(frame([("a", "x", 1)]), NOW)
    assert seen.mark(frame([("a", "x", 2)]), NOW).to_list() == [False]


def test_what_is_older_than_the_window_is_forgotten() -> None:
    seen = Duplicates(IDS, WINDOW)
    seen.mark(frame([("a", "x", 1)]), NOW)
    later = NOW + WINDOW + timedelta(seconds=1)
    assert seen.mark(frame([("a", "x", 1)]), later).to_list() == [False]


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
