"""Bad input through the running sidecar: a row or a status for each, and nothing else lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from running_sidecar import Sidecar, running, wait_for

from evalspan import pipeline, testing
from evalspan.model import QUARANTINE, SCORES, SPANS

MIB = 2**20
CHECKS = """
checks:
  status:
  works: {use: "mine:works"}
"""
GARBAGE = b"\xff\xfe this is no protobuf at all \x00\x01" * 3


@dataclass(frozen=True)
class Case:
    """A request, and what must become of it. `good` counts the spans that must be stored."""

    payload: bytes
    status: str = "OK"
    good: int = 0
    reason: str = ""
    """Part of the reason of its one row in quarantine; none without it."""
    repaired: str = ""
    """Part of `repaired` of one of its stored spans."""
    gzip: bool = False


def mended(number: int, **fields: object) -> Span:
    """A span of the trace `number` whose fields are as bad as told."""
    span = testing.span(number=number, trace=number)
    for name, value in fields.items():
        setattr(span, name, value)
    return span


def beside(number: int, bad: Span) -> bytes:
    """The bad span between two good ones of other traces."""
    good = [testing.span(trace=number + 1), testing.span(trace=number + 2)]
    return testing.request(good[0], bad, good[1]).SerializeToString()


def not_utf8(number: int) -> bytes:
    """A span name and an attribute that are no UTF-8."""
    span = testing.span(number=number, trace=number, user="MARK-user")
    whole = testing.request(span, testing.span(trace=number + 1)).SerializeToString()
    return whole.replace(b"MARK-user", b"MARK\xff\xfeuse")


def truncated(number: int) -> bytes:
    whole = testing.request(testing.span(trace=number), testing.span(trace=number + 1))
    return whole.SerializeToString()[:-40]


def many(count: int, number: int) -> bytes:
    spans = [testing.plain_span("same", trace=number) for _ in range(count)]
    return testing.request(spans).SerializeToString()


FAR_NS = 4_000_000_000 * 10**9
BIG = "x" * (10 * MIB)
CASES = {
    "nothing at all": Case(b""),
    "garbage": Case(GARBAGE, reason="cut off or garbled"),
    "truncated": Case(truncated(100), good=1, reason="cut off or garbled"),
    "gzip bomb": Case(b"\0" * (100 * MIB), "RESOURCE_EXHAUSTED", gzip=True),
    "100 MiB": Case(b"\1" * (100 * MIB), "RESOURCE_EXHAUSTED"),
    "no trace id": Case(beside(200, mended(200, trace_id=b"")), good=2, reason="trace"),
    "trace id of zeros": Case(beside(210, mended(210, trace_id=bytes(16))), good=2, reason="trace"),
    "short trace id": Case(beside(220, mended(220, trace_id=b"abc")), good=2, reason="trace"),
    "no span id": Case(beside(230, mended(230, span_id=b"")), good=2, reason="span"),
    "span id of zeros": Case(beside(240, mended(240, span_id=bytes(8))), good=2, reason="span"),
    "long span id": Case(beside(250, mended(250, span_id=b"123456789")), good=2, reason="span"),
    # Nothing of the span itself is wrong: it stays, as a span whose parent is unknown.
    "short parent": Case(beside(260, mended(260, parent_span_id=b"ab")), good=3),
    "time zero": Case(
        beside(300, mended(300, start_time_unix_nano=0)), good=3, repaired="start_time=0"
    ),
    "time in the future": Case(
        beside(310, mended(310, start_time_unix_nano=FAR_NS)), good=3, repaired="start_time="
    ),
    "ends before it begins": Case(
        beside(320, mended(320, end_time_unix_nano=testing.START_UNIX_NANO - 1)),
        good=3,
        repaired="end before start",
    ),
    "10 MB attribute": Case(
        beside(400, testing.span(trace=400, attributes={"app.page": BIG})), good=3
    ),
    "not UTF-8": Case(not_utf8(500), good=2, repaired="utf8:"),
    "NaN": Case(
        beside(
            600,
            testing.span(
                trace=600,
                attributes={
                    "gen_ai.request.temperature": float("nan"),
                    "app.score": float("inf"),
                },
            ),
        ),
        good=3,
    ),
    "the same span five times": Case(many(5, 700), good=1),
}
LOG_CASES = {
    "garbage": GARBAGE,
    "good": testing.logs_request(testing.log_record(trace_number=900)).SerializeToString(),
}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    (folder / "mine.py").write_text("def works(span): return bool(span.name)", encoding="utf-8")
    with running(folder, CHECKS) as up:
        before = up.pids()
        yield up
        assert up.pids() == before, "a part was started again"


@pytest.fixture(scope="module")
def answers(sidecar: Sidecar) -> dict[str, str]:
    """Send every case, then wait until all of it is stored and settled."""
    found = {name: sidecar.send(case.payload, gzip=case.gzip) for name, case in CASES.items()}
    for name, payload in LOG_CASES.items():
        found[f"logs: {name}"] = sidecar.send(payload, "logs")
    wait_for("everything stored and scored", lambda: settled(sidecar))
    return found


def settled(sidecar: Sidecar) -> bool:
    book = pipeline.read_ledger(sidecar.settings)
    stored = next(line.stored for line in book.lines if line.subject == "spans")
    return book.pending == 0 and stored == pipeline.settled_spans(sidecar.settings) > 0


def traces_of(case: Case) -> list[str]:
    """Trace ids of the good spans of a case, as far as it can be read."""
    try:
        request = ExportTraceServiceRequest.FromString(case.payload)
    except Exception:  # noqa: BLE001 - that is what the case is about
        return []
    spans = (s for r in request.resource_spans for p in r.scope_spans for s in p.spans)
    return [span.trace_id.hex() for span in spans]


def rows(sidecar: Sidecar, table: str) -> pl.DataFrame:
    tables = {"spans": SPANS, "quarantine": QUARANTINE, "scores": SCORES}
    return pipeline.store_of(sidecar.settings).scan(tables[table]).collect()


@pytest.mark.parametrize("name", CASES)
def test_each_has_a_clear_status(name: str, answers: dict[str, str]) -> None:
    assert answers[name] == CASES[name].status


def test_what_was_good_is_stored_and_what_was_bad_has_a_row(
    sidecar: Sidecar, answers: dict[str, str]
) -> None:
    assert answers
    spans, bad = rows(sidecar, "spans"), rows(sidecar, "quarantine")
    assert spans.height == sum(case.good for case in CASES.values())
    of_spans = bad.filter(pl.col("signal") == "traces")
    assert of_spans.height == sum(bool(case.reason) for case in CASES.values())
    for name, case in CASES.items():
        if case.reason:
            fitting = of_spans.filter(pl.col("reason").str.contains(case.reason, literal=True))
            assert not fitting.is_empty(), (name, of_spans["reason"].to_list())
    assert of_spans["bytes"].null_count() == 0


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.good and not case.reason])
def test_the_spans_of_a_case_are_there(
    name: str, sidecar: Sidecar, answers: dict[str, str]
) -> None:
    assert answers
    case = CASES[name]
    spans = rows(sidecar, "spans")
    if wanted := traces_of(case):
        assert set(wanted) <= set(spans["trace_id"])
    if case.repaired:
        repaired = spans["repaired"].drop_nulls()
        assert repaired.str.contains(case.repaired, literal=True).any(), repaired.to_list()


def test_text_that_is_no_utf8_has_replacement_characters(
    sidecar: Sidecar, answers: dict[str, str]
) -> None:
    assert answers
    texts = rows(sidecar, "spans")["input_text"].drop_nulls()
    assert texts.str.contains("MARK\ufffd").sum() == 1


def test_no_number_is_nan(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    spans = rows(sidecar, "spans")
    reals = spans.select(pl.selectors.float())
    assert not any(column.is_nan().any() or column.is_infinite().any() for column in reals)


def test_the_big_attribute_is_whole(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    spans = rows(sidecar, "spans").filter(pl.col("trace_id") == testing.trace_id(400).hex())
    (attributes,) = spans["attributes"].to_list()
    assert {a["key"]: a["string"] for a in attributes}["app.page"] == BIG


def test_every_stored_span_has_its_scores(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    spans, scores = rows(sidecar, "spans"), rows(sidecar, "scores")
    calls = spans.filter(pl.col("role") == "llm").height
    for check in ("status", "works"):
        of_check = scores.filter(pl.col("check") == check)
        assert of_check.height == calls
        assert of_check["error"].null_count() == calls


def test_it_is_all_counted(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    book = {line.subject: line for line in pipeline.read_ledger(sidecar.settings).lines}
    spans, logs = book["spans"], book["log_records"]
    assert spans.balanced
    assert logs.balanced
    assert spans.duplicate == 4
    assert (logs.stored, logs.quarantined) == (1, 1)

    def shown() -> bool:
        outcomes = {
            n: getattr(spans, n) for n in ("received", "stored", "duplicate", "quarantined")
        }
        counted = {n: sidecar.metric("evalspan_spans_total", outcome=n) for n in outcomes}
        return counted == outcomes and sidecar.metric("evalspan_rejected_requests_total") == 2

    wait_for("the same numbers on /metrics", shown)
    accepted = len(CASES) - 2
    assert sidecar.metric("evalspan_requests_total", signal="traces") == accepted
    assert sidecar.metric("evalspan_receiver_up") == 1


def test_the_ledger_balances(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    book = pipeline.read_ledger(sidecar.settings)
    assert book.balanced, book.as_dict()
    assert book.pending == 0


def test_nothing_went_wrong_in_the_sidecar(sidecar: Sidecar, answers: dict[str, str]) -> None:
    assert answers
    told = Path(sidecar.folder / "sidecar.log").read_text(encoding="utf-8")
    assert "level=error" not in told
    assert "Traceback" not in told
    assert "part_ended" not in told
