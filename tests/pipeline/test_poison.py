"""Segments that end the process again and again: what is to blame is set aside, and counted."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from replay_world import QUIET, Every, Here, Killed, Lives, Requests, settings_of, write_log

from evalspan import decode, evaluate, normalize, settle, wal
from evalspan.model import EVENTS, LEDGER, QUARANTINE, SCORES, SETTLED, SPANS
from evalspan.pipeline import evaluator_of, read_ledger, settler_of
from evalspan.pipeline._poison import (
    CRASHES,
    Poison,
    SetAsideError,
    _decodes,
    _evaluates,
    _settles,
)
from evalspan.pipeline._trial import StoppedError, Trial
from evalspan.pipeline._word import read_word, write_word
from evalspan.testing import log_record, logs_request, plain_span, request, span, span_id, trace_id

BAD = 7
BAD_TRACE = trace_id(BAD).hex()


class PanicError(BaseException):
    """A library gave up; it is no Exception, as with pyo3."""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalspan.pipeline._poison.Trial", Here)


def _trace(number: int) -> list[Any]:
    return [
        plain_span("answer", number=number * 100, trace=number),
        span(number=number * 100 + 1, trace=number, parent=number * 100),
    ]


def _story() -> Sequence[Requests]:
    """Return segments of which the third holds the bad trace between others, in one request."""
    together = request(*_trace(6), *_trace(BAD), *_trace(8))
    return (
        (("traces", request(*_trace(1))),),
        (("traces", request(*_trace(2))), ("traces", request(*_trace(3)))),
        (("traces", request(*_trace(4))), ("traces", together), ("traces", request(*_trace(9)))),
        (("traces", request(*_trace(10))),),
        *QUIET,
    )


def _live(lives: Lives, error: type[BaseException] = PanicError) -> int:
    """Start the process again until the log is at its end; returns how often it died."""
    for died in range(4 * CRASHES):
        try:
            lives.run()
        except (error, SetAsideError):
            continue
        return died
    pytest.fail("it dies for ever")


def _broken(
    monkeypatch: pytest.MonkeyPatch,
    room: Any,  # noqa: ANN401 - a module or class
    name: str,
    is_bad: Callable[..., bool],
    error: type[BaseException] = PanicError,
) -> None:
    whole = getattr(room, name)

    def broken(*given: Any, **more: Any) -> Any:  # noqa: ANN401 - as it is
        if is_bad(*given):
            raise error
        return whole(*given, **more)

    monkeypatch.setattr(room, name, broken)


def _decoding_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break decode where it would have to look at the bad span."""
    bad = span_id(BAD * 100 + 1)

    def is_bad(records: list[Any], _segment: int, aside: Any = None) -> bool:  # noqa: ANN401
        for record in records:
            at = (record.offset, 3)
            left_out = set(aside or {}) & {at, (record.offset, decode.ALL)}
            if bad in record.payload and not left_out:
                return True
        return False

    _broken(monkeypatch, decode, "decode", is_bad)


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    write_log(tmp_path / "log", _story())
    return Lives.of(tmp_path / "log", tmp_path / "data")


def _others(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("trace_id") != BAD_TRACE)


@pytest.fixture
def undisturbed(tmp_path: Path) -> Lives:
    write_log(tmp_path / "whole", _story())
    lives = Lives.of(tmp_path / "whole", tmp_path / "undisturbed")
    lives.run()
    return lives


def test_a_span_that_decoding_dies_of_is_set_aside_alone(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    _decoding_dies(monkeypatch)
    assert _live(lives) == CRASHES
    (row,) = lives.frame(QUARANTINE).to_dicts()
    assert row["reason"] == "stage decode raised PanicError"
    assert (row["trace_id"], row["part"]) == (BAD_TRACE, 3)
    again = type(request())()
    again.ParseFromString(row["bytes"])
    (scoped,) = again.resource_spans
    assert scoped.resource.attributes
    assert scoped.scope_spans[0].spans[0].span_id == span_id(BAD * 100 + 1)
    book = read_ledger(settings_of(lives.data))
    assert book.balanced
    assert book.pending == 0
    assert (book.lines[0].received, book.lines[0].stored, book.lines[0].quarantined) == (18, 17, 1)


def test_normalize_that_dies_costs_the_span_only(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = span_id(BAD * 100).hex()
    _broken(
        monkeypatch,
        normalize,
        "normalize",
        lambda decoded: bad in decoded.spans.column("span_id").to_pylist(),
    )
    assert _live(lives) == CRASHES
    (row,) = lives.frame(QUARANTINE).to_dicts()
    assert (row["reason"], row["span_id"]) == ("stage normalize raised PanicError", bad)
    assert read_ledger(settings_of(lives.data)).balanced


def test_what_was_set_aside_is_set_aside_again_after_every_crash(
    lives: Lives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _decoding_dies(monkeypatch)
    write_log(tmp_path / "again", _story())
    killed = Lives.of(tmp_path / "again", tmp_path / "killed")
    kills = Every(lambda _: Killed())
    for _ in range(4 * CRASHES):
        try:
            killed.run(kills)
        except PanicError:
            continue
        break
    assert killed.ended == len(kills.places)
    _live(lives)
    assert killed.rows() == lives.rows()


def _evaluating_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break evaluate where it would have to look at the bad trace."""
    _broken(
        monkeypatch,
        evaluate.Evaluator,
        "evaluate",
        lambda _self, spans, _context: BAD_TRACE in spans["trace_id"].to_list(),
    )


def _settling_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break settle where the bad trace would settle."""
    whole, flush = settle.Settler.push, settle.Settler.flush

    def settles(settlement: settle.Settlement) -> settle.Settlement:
        if BAD_TRACE in settlement.spans["trace_id"].to_list():
            raise PanicError
        return settlement

    def push(self: settle.Settler, *given: Any) -> settle.Settlement:  # noqa: ANN401
        return settles(whole(self, *given))

    monkeypatch.setattr(settle.Settler, "push", push)
    monkeypatch.setattr(settle.Settler, "flush", lambda self, *given: settles(flush(self, *given)))


@pytest.mark.parametrize(
    ("breaks", "stage", "deaths"),
    [
        (_evaluating_dies, "evaluate", CRASHES),
        (_settling_dies, "settle", CRASHES + 1),  # the last one to begin anew without the trace
    ],
    ids=["evaluate", "settle"],
)
def test_a_trace_that_a_stage_dies_of_has_an_error_for_each_check(
    breaks: Callable[[pytest.MonkeyPatch], None],
    stage: str,
    deaths: int,
    lives: Lives,
    undisturbed: Lives,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks(monkeypatch)
    begun = datetime.now(UTC)
    assert _live(lives) == deaths
    assert lives.frame(SPANS).height == 18, "what is stored stays"
    settled = set(lives.frame(SETTLED)["trace_id"])
    assert (BAD_TRACE in settled) == (stage == "evaluate")
    scores = lives.frame(SCORES)
    bad = scores.filter(trace_id=BAD_TRACE)
    assert set(bad["error"]) == {f"stage {stage} raised PanicError"}
    assert sorted(bad["check"].unique()) == ["finish_reason", "latency", "status", "tool_loop"]
    assert bad.filter(check="status").height == 2
    assert bad.filter(pl.col("evaluated_time") < begun).is_empty(), "made now, as all others"
    assert (
        _others(scores)
        .drop("evaluated_time")
        .equals(_others(undisturbed.frame(SCORES)).drop("evaluated_time"))
    )
    book = read_ledger(settings_of(lives.data))
    assert book.balanced
    assert book.pending == 0
    assert {line.check: line.error for line in book.checks}["status"] == 2


def test_a_log_record_that_cannot_be_read_costs_its_span_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content(trace: int) -> Requests:
        record = log_record("hello", trace_number=trace, span_number=trace * 100 + 1)
        return (("logs", logs_request(record)), ("traces", request(*_trace(trace))))

    write_log(tmp_path / "log", [content(1), content(BAD), content(3), *QUIET])
    lives = Lives.of(tmp_path / "log", tmp_path / "data")
    _broken(
        monkeypatch,
        normalize,
        "messages_from_events",
        lambda events: BAD_TRACE in events["trace_id"].to_list(),
        RuntimeError,
    )
    lives.run()
    assert lives.frame(SETTLED).height == 3
    (row,) = lives.frame(LEDGER).filter(outcome="unread").to_dicts()
    assert (row["subject"], row["reason"], row["count"]) == ("log_records", "RuntimeError", 1)
    assert read_ledger(settings_of(lives.data)).balanced


def test_kills_at_the_same_place_blame_nothing(
    lives: Lives, undisturbed: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, left = decode.decode, [CRASHES + 1]

    def killed(records: list[Any], segment: int, aside: Any = None) -> Any:  # noqa: ANN401
        if segment == 3 and left[0]:
            left[0] -= 1
            raise Killed
        return whole(records, segment, aside)

    monkeypatch.setattr(decode, "decode", killed)
    lives.run()
    assert lives.ended == CRASHES + 1 or not left[0]
    assert lives.rows()["quarantine"] == undisturbed.rows()["quarantine"] == []


def test_a_search_that_is_told_to_stop_decides_nothing_and_counts_no_crash(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    _decoding_dies(monkeypatch)
    for _ in range(CRASHES):
        with pytest.raises(PanicError):
            lives.run()

    def stopped(_self: Here, *_arguments: Any) -> str:  # noqa: ANN401
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Here, "__call__", stopped)
        for _ in range(2 * CRASHES):
            with pytest.raises(StoppedError):
                lives.run()
    assert read_word(lives.data / "run" / "poison.json") is None
    lives.run()
    assert lives.frame(QUARANTINE).height == 1


def test_crashes_of_segments_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [(), (), ()])
    segments = wal.segments(tmp_path / "log")
    log_id = segments[0].log_id
    crashes = {"1:settle": CRASHES, "2:evaluate": 1, "3:decode": 1}
    write_word(
        tmp_path / "run" / "crashes.json", {"log_id": log_id, "segments": crashes}, sync=False
    )
    poison = Poison(tmp_path / "run", pytest.fail, pytest.fail)
    assert poison.suspects_settling(log_id)
    poison.forget(2)
    assert not poison.suspects_settling(log_id), "or everything that is pushed is kept for ever"
    kept = read_word(tmp_path / "run" / "crashes.json")
    assert kept is not None
    assert kept["segments"] == {"2:evaluate": 1, "3:decode": 1}


def test_the_stages_can_be_tried_in_another_process(lives: Lives) -> None:
    lives.run()
    settings = settings_of(lives.data)
    segment = wal.segments(settings.log_folder)[0]
    spans = lives.frame(SPANS).select(SPANS.schema.names).to_arrow().cast(SPANS.schema)
    settler = partial(settler_of, settings, None)
    settled = settler().push(spans, EVENTS.empty(), 2**52, 1).spans
    assert settled.height
    for work, arguments in (
        (_decodes, ("normalize", segment, {(1, decode.ALL), (2, 3)})),
        (_settles, (settler, spans, EVENTS.empty(), 2**52, 1)),
        (_evaluates, (partial(evaluator_of, settings), settled, settled.clear())),
    ):
        trial = Trial(work)
        assert trial(*arguments) == ""
        assert trial("nonsense").startswith("raised")
        trial.close()


def test_decode_keeps_what_it_is_told_to_leave_out() -> None:
    class Record:
        kind = "traces"
        time_unix_ns = 1_800_000_000 * 10**9
        offset = 24
        payload = request(*_trace(1)).SerializeToString()

    decoded = decode.decode([Record()], 1, {(24, decode.ALL): "bad luck"})
    assert decoded.received_spans == 2
    assert decoded.quarantine.column("part").to_pylist() == [0, 1]
    assert set(decoded.quarantine.column("reason").to_pylist()) == {"bad luck"}
    assert isinstance(decoded.spans, pa.Table)
    assert decoded.spans.num_rows == 0
