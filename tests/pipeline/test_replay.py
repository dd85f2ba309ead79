"""A crash at any commit, and a disk that refuses any: the tables end as if nothing had happened."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from replay_world import QUIET, After, Every, Killed, Lives, Requests, settings_of, write_log

from evalspan.model import SCORES, SETTLED, SPANS, TABLES
from evalspan.pipeline import read_ledger
from evalspan.store import StoreError
from evalspan.testing import (
    START_UNIX_NANO,
    log_record,
    logs_request,
    plain_span,
    request,
    span,
    tool_span,
)

Item = tuple[str, Message]


def root(trace: int) -> Span:
    return plain_span("answer", number=trace * 100, trace=trace, status="error")


def other_root(trace: int) -> Span:
    """Return another span with the ids of the root, as a broken sender makes it."""
    return plain_span("other", number=trace * 100, trace=trace)


def call(trace: int, place: int, **more: object) -> Span:
    return span(number=trace * 100 + place, trace=trace, parent=trace * 100, **more)  # type: ignore[arg-type]


def tool(trace: int, place: int) -> Span:
    return tool_span(number=trace * 100 + place, trace=trace, parent=trace * 100)


def spans(*given: Span) -> Item:
    return "traces", request(*given)


def content(trace: int, place: int) -> Item:
    """Return a log record that says what the model call at this place was asked."""
    attributes = {"gen_ai.input.messages": '[{"role":"user","parts":[]}]'}
    record = log_record(attributes=attributes, span_number=trace * 100 + place, trace_number=trace)
    return "logs", logs_request(record)


def no_span() -> Item:
    """Return a request whose one span has no ids."""
    return spans(Span(name="nobody", start_time_unix_nano=START_UNIX_NANO))


STORY: Sequence[Requests] = (
    (spans(root(1), call(1, 1)), spans(root(2), tool(2, 1), tool(2, 2))),
    (content(3, 1), spans(root(1)), spans(call(1, 2))),  # content first, a repeat, one more
    (spans(root(3), call(3, 1, output=None)), no_span()),
    (spans(root(1), call(1, 1), root(2)), content(1, 1)),  # batched anew
    (content(1, 1), spans(call(3, 2))),  # a log record twice
    (),
    (),
    (spans(call(1, 3), root(2), tool(2, 3)),),  # late, with a repeat
    (),
    (spans(call(2, 4)), spans(root(4), call(4, 1))),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, [*STORY, *QUIET])
    return folder


@pytest.fixture(scope="module")
def undisturbed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    lives = Lives.of(log, tmp_path_factory.mktemp("undisturbed"))
    lives.run()
    return lives.rows()


def test_the_story_has_something_of_everything(undisturbed: dict[str, list[str]]) -> None:
    written = {name for name, rows in undisturbed.items() if rows}
    assert written == {"spans", "events", "settled", "scores", "quarantine", "ledger"}
    assert len(undisturbed["spans"]) == 14
    assert len(undisturbed["events"]) == 2


def test_a_kill_at_every_commit_changes_nothing(
    log: Path, undisturbed: dict[str, list[str]], tmp_path: Path
) -> None:
    lives, kills = Lives.of(log, tmp_path), Every(lambda _: Killed())
    lives.run(kills)
    assert lives.ended == len(kills.places)
    assert {place.split()[1] for place in kills.places} == {
        n for n in undisturbed if undisturbed[n]
    }
    assert lives.rows() == undisturbed


def test_a_disk_that_refuses_every_commit_once_loses_nothing(
    log: Path, undisturbed: dict[str, list[str]], tmp_path: Path
) -> None:
    lives, refusals = Lives.of(log, tmp_path), Every(lambda place: StoreError(place, full=True))
    lives.run(refusals)
    assert lives.ended == 0
    assert len(refusals.places) > len(TABLES)
    assert lives.rows() == undisturbed


def test_what_an_ingest_settled_settles_once(tmp_path: Path) -> None:
    write_log(tmp_path / "log", STORY[:3])
    lives = Lives.of(tmp_path / "log", tmp_path / "data")
    lives.ingest()
    first = lives.frame(SETTLED)
    assert "shutdown" in set(first["reason"])
    write_log(tmp_path / "data" / "wal", [*STORY[3:], *QUIET])
    lives.run()
    settled = lives.frame(SETTLED)
    assert settled.filter(pl.col("segment") <= 3).equals(first)
    assert settled.select("trace_id", "attempt").is_unique().all()
    new = settled.select(pl.when(pl.col("attempt") > 1).then("late_spans").otherwise("spans"))
    assert new.sum().item() == lives.frame(SPANS).height
    assert lives.frame(SCORES).select(SCORES.key).is_unique().all()


TRACES, PLACES = st.integers(1, 3), st.integers(0, 3)
VARIANTS = st.sampled_from(["Paris.", "Rome."])  # the same ids with other content


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Return a request of one span or log record; few ids, so that many come again."""
    trace, place = draw(TRACES), draw(PLACES)
    if place == 0:
        return spans(draw(st.sampled_from([root(trace), other_root(trace)])))
    kind = draw(st.sampled_from(["call", "call", "tool", "content"]))
    if kind == "content":
        return content(trace, place)
    if kind == "tool":
        return spans(tool(trace, 10 + place))
    return spans(call(trace, place, output=draw(VARIANTS)))


STORIES = st.lists(st.lists(items(), max_size=3), min_size=2, max_size=12)
MOMENTS = st.lists(st.integers(1, 25), min_size=1, max_size=6)
WINDOWS = st.sampled_from([3, 900])


@given(story=STORIES, moments=MOMENTS, window_seconds=WINDOWS)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # a story is slow to tell again
)
def test_kills_at_any_moment_of_any_story_change_nothing(
    story: Sequence[Requests],
    moments: list[int],
    window_seconds: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("story")
    write_log(folder / "log", [*story, *QUIET])
    undisturbed = Lives.of(folder / "log", folder / "undisturbed", window_seconds)
    undisturbed.run()
    killed = Lives.of(folder / "log", folder / "killed", window_seconds)
    killed.run(After(moments))
    assert killed.rows() == undisturbed.rows()
    assert killed.frame(SCORES).select(SCORES.key).is_unique().all()
    book = read_ledger(settings_of(killed.data))
    assert book.balanced
    assert book.pending == 0


def test_spans_that_share_their_ids_are_all_stored_and_scored_once(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [(spans(root(1), other_root(1)),), *QUIET])
    lives = Lives.of(tmp_path / "log", tmp_path / "data")
    lives.run()
    assert lives.frame(SPANS).height == 2
    assert lives.frame(SCORES).filter(check="status").height == 1
    book = read_ledger(settings_of(lives.data))
    assert book.pending == 0
    status = next(line for line in book.checks if line.check == "status")
    assert (status.expected, status.done, status.reasons) == (2, 1, {"duplicate": 1})
