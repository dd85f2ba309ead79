"""ingest and the log: what is no OTLP, what is read twice, what is damaged, who runs already."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evalspan import testing, wal

Evalspan = Callable[..., Any]
CAPTURES = Path(__file__).parents[1] / "golden" / "captures"
CHAT = CAPTURES / "openinference" / "chat.binpb"
LOGS = CAPTURES / "otel-genai-event" / "chat.logs.binpb"


def lines_of(request: ExportTraceServiceRequest) -> str:
    """A request as the Collector's file exporter writes it: ids are hex."""
    data = MessageToDict(request)
    for resource in data["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span, sent in zip(
                scope["spans"], request.resource_spans[0].scope_spans[0].spans, strict=True
            ):
                span["traceId"], span["spanId"] = sent.trace_id.hex(), sent.span_id.hex()
    return json.dumps(data)


def ingested(ran: Any) -> dict[str, Any]:  # noqa: ANN401 - a Ran
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_what_came_in_is_counted_once(evalspan: Evalspan) -> None:
    first = ingested(evalspan("ingest", "--json", CHAT))
    assert (first["requests"], first["spans"], first["log_records"]) == (1, 1, 0)
    second = ingested(evalspan("ingest", "--json", CHAT, LOGS))
    assert (second["requests"], second["spans"], second["log_records"]) == (2, 0, 1)
    book = json.loads(evalspan("ledger", "--json").out)
    spans = next(line for line in book["received"] if line["subject"] == "spans")
    assert book["balanced"] is True
    assert (spans["received"], spans["stored"], spans["duplicate"]) == (2, 1, 1)


def test_json_lines_are_read_and_a_bad_one_costs_itself_only(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    good = lines_of(testing.request(testing.span(number=7)))
    bad_id = good.replace(testing.span_id(7).hex(), "not hex at all!")
    lines = [good, '{"foo": 1}', "{half", bad_id, "", '{"resourceSpans": 3}']
    text = "\n".join(lines)
    (tmp_path / "spans.jsonl").write_text(text, encoding="utf-8")
    ran = evalspan("ingest", "spans.jsonl")
    assert ran.code == 1
    assert "1 request, 1 span, 0 log records in" in ran.out
    assert [line.split(": ")[0] for line in ran.told] == [
        f"spans.jsonl:{number}" for number in (2, 3, 4, 6)
    ]
    told = evalspan("ingest", "--json", "spans.jsonl")
    assert told.code == 1
    assert len(json.loads(told.out)["refused"]) == 4


def test_a_file_that_is_no_request_is_refused_and_the_others_are_taken(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("data: d\nchecks: {}\n", encoding="utf-8")
    ran = evalspan("ingest", "notes.txt", CHAT)
    assert ran.code == 1
    assert "1 request, 1 span, 0 log records in" in ran.out
    assert len(ran.told) == 1
    assert ran.told[0].startswith("notes.txt: no OTLP request, neither of traces nor of logs")


def test_the_signal_of_a_binary_file_is_found_without_its_name(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    shutil.copy(LOGS, tmp_path / "renamed.bin")
    done = ingested(evalspan("ingest", "--json", "renamed.bin"))
    assert (done["spans"], done["log_records"]) == (0, 1)


def test_a_log_that_another_process_writes_is_left_alone(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    evalspan("ingest", CHAT)
    program = (
        "import sys; from pathlib import Path; from evalspan import wal\n"
        "w = wal.Writer(Path(sys.argv[1]), wal.WalSettings()); print('up', flush=True)\n"
        "sys.stdin.read(); w.close()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "evalspan-data" / "wal")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        ran = evalspan("ingest", LOGS)
        other.communicate(b"")
    assert ran.code == 2
    assert len(ran.told) == 1
    assert "sidecar" in ran.told[0] or "writes" in ran.told[0]


@pytest.fixture
def damaged(evalspan: Evalspan, tmp_path: Path) -> Path:
    """A log whose first segment has other bytes than were written."""
    evalspan("ingest", CHAT)
    log = tmp_path / "evalspan-data" / "wal"
    segment = min(log.glob("*.wal"))
    content = bytearray(segment.read_bytes())
    content[200] ^= 0xFF
    segment.write_bytes(content)
    return log


def test_a_damaged_log_is_told_repaired_and_goes_on(evalspan: Evalspan, damaged: Path) -> None:
    inspected = evalspan("wal", "inspect", "--json")
    assert inspected.code == 1
    assert json.loads(inspected.out)[0]["error"]
    ran = evalspan("ingest", LOGS)
    assert ran.code == 3
    assert len(ran.told) == 1
    assert "evalspan wal repair" in ran.told[0]
    repaired = evalspan("wal", "repair")
    assert repaired.code == 0
    assert "segment 1: 0 records kept" in repaired.out
    assert list(damaged.glob("*.corrupt"))
    assert evalspan("ingest", CAPTURES / "openinference" / "rag.binpb").code == 0
    assert json.loads(evalspan("ledger", "--json").out)["balanced"] is True
    assert evalspan("wal", "repair").out == "nothing to repair\n"


def test_inspect_shows_what_a_segment_holds(evalspan: Evalspan, tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path / "evalspan-data" / "wal", wal.WalSettings())
    writer.append("traces", CHAT.read_bytes()).result()
    writer.close()
    (row,) = json.loads(evalspan("wal", "inspect", "--json").out)
    assert (row["segment"], row["spans"], row["error"]) == (1, 1, None)
    pending = json.loads(evalspan("ledger", "--json").out)
    assert pending["balanced"] is True
    assert pending["pending"] == 1


def test_the_installed_command_is_the_same() -> None:
    program = Path(sys.executable).with_name("evalspan")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("evalspan ")
    wrong = subprocess.run(
        [program, "scores", "--config", "nope.yaml"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "nope.yaml: cannot be read: No such file or directory\n"


def test_what_waits_for_a_judge_is_said(evalspan: Evalspan, tmp_path: Path) -> None:
    checklist = "checklists: {manners: {questions: {polite: 'Is it polite?'}}}"
    (tmp_path / "evalspan.yaml").write_text(checklist, encoding="utf-8")
    (tmp_path / "one.binpb").write_bytes(testing.request(testing.span()).SerializeToString())
    ran = evalspan("ingest", "one.binpb")
    assert ran.code == 0, ran.err
    assert "judges have still to answer: 1 (evalspan serve asks them)" in ran.out
