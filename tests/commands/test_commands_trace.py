"""evalspan trace: one trace with its spans, texts and verdicts, and nothing that acts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from evalspan import pipeline
from evalspan.model import FINDINGS, REGRESSIONS, SCORES
from evalspan.pipeline import _trace
from evalspan.testing import plain_span, request, span, trace_id

Evalspan = Callable[..., Any]
CONFIG = """\
prices: {gpt-4o-mini: {input: 1, output: 2}}
checks:
  latency: {max_ms: 2000}
  contains: {none: [sorry]}
  tool_error:
  looking: {use: 'mine:looking'}
views:
  slow: {filter: "value > 100000"}
"""
BROKEN = "def looking(span): raise KeyError('what')"
NUMBER = 0xABCD << 112 | 1
ID = trace_id(NUMBER).hex()
# What a terminal would obey or reorder, and what rich reads as markup or as a picture.
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnirts [bold]x[/bold] [/x] :smile:\rover"
SECOND = 10**9
START = 1_767_225_600 * SECOND


def agent(answer: str = "I am sorry.", name: str = "support") -> list[Any]:
    """An agent that asks a model and runs a tool, which fails; the later span comes first."""
    output = {"gen_ai.tool.call.result": '{"error": "no such order"}'}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_order"}
    tool |= {"gen_ai.tool.call.arguments": '{"order": 7}'}
    root = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
    return [
        plain_span(
            "execute_tool get_order",
            number=3,
            trace=NUMBER,
            parent=1,
            start_unix_nano=START + 2 * SECOND,
            attributes={**tool, **output},
            status="error",
            status_message="it broke",
        ),
        span(
            number=2,
            trace=NUMBER,
            parent=1,
            start_unix_nano=START + SECOND,
            duration_seconds=1.5,
            system="Be kind.",
            user="Where is my order?",
            output=answer,
            attributes={"gen_ai.prompt.name": "help", "gen_ai.prompt.version": "v2"},
        ),
        plain_span(name, number=1, trace=NUMBER, start_unix_nano=START, attributes=root),
    ]


@pytest.fixture
def ingest(evalspan: Evalspan, tmp_path: Path) -> Callable[[list[Any]], None]:
    """Take spans in, with checks that pass, fail and break."""
    (tmp_path / "evalspan.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "mine.py").write_text(BROKEN, encoding="utf-8")

    def take(spans: list[Any]) -> None:
        (tmp_path / "spans.binpb").write_bytes(request(spans).SerializeToString())
        done = evalspan("ingest", "spans.binpb")
        assert done.code == 0, done.err

    return take


Ingest = Callable[[list[Any]], None]


def test_spans_are_a_tree_in_order_of_time_with_what_is_known_of_them(
    evalspan: Evalspan, ingest: Ingest
) -> None:
    ingest(agent())
    ran = evalspan("trace", "ABCD")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"Trace {ID}, 2026-01-01 00:00:00 UTC, 3 spans"
    spans = [line for line in lines if "[" in line and "(00000000000000" in line]
    assert [line.index("[") for line in spans] == [2, 6, 6]
    assert [line.split("]")[0].split("[")[1] for line in spans] == ["agent", "llm", "tool"]
    for part in ("prompt help v2", "1,500 ms", "in, ", "out tokens", " USD", "stopped: stop"):
        assert part in spans[1]
    assert "gpt-4o-mini" in spans[1]
    assert "ERROR" in spans[2]
    texts = [line.strip() for line in lines]
    assert "input: Where is my order?" in texts
    assert "output: I am sorry." in texts
    assert 'input: {"order": 7}' in texts
    assert "status: it broke" in texts
    assert "system: Be kind." not in texts
    assert "system: Be kind." in evalspan("trace", ID, "--full").out


def test_verdicts_have_their_reasons_and_evidence_and_errors(
    evalspan: Evalspan, ingest: Ingest
) -> None:
    ingest(agent())
    text = evalspan("trace", "abcd").out.partition("Verdicts")[2]
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "pass latency of chat gpt-4o-mini (0000000000000002) value 1500" in lines
    assert "FAIL contains of chat gpt-4o-mini (0000000000000002)" in lines
    assert "reason: 'sorry' is there" in lines
    assert "FAIL tool_error of execute_tool get_order (0000000000000003)" in lines
    assert "ERROR looking of chat gpt-4o-mini (0000000000000002)" in lines
    assert any(line.startswith("reason: KeyError") for line in lines)
    found = json.loads(evalspan("trace", "abcd", "--json").out)
    assert [(s["span_id"][-1], s["depth"]) for s in found["spans"]] == [
        ("1", 0),
        ("2", 1),
        ("3", 1),
    ]
    told = {(v["check"], v["span_id"][-1]): v["verdict"] for v in found["verdicts"]}
    assert told == {
        ("contains", "2"): "fail",
        ("latency", "2"): "pass",
        ("looking", "2"): None,
        ("tool_error", "3"): "fail",
    }
    assert found["spans"][1]["input_text"] == "Where is my order?"
    assert found["spans"][1]["cost_usd"] > 0
    assert found["spans"][0]["cost_usd"] is None
    assert found["settled_time"]


def test_a_verdict_that_was_skipped_says_why(evalspan: Evalspan, ingest: Ingest) -> None:
    ingest(agent())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"time": now, "trace_id": ID, "span_id": f"{2:016x}", "check": "tone", "item": "kind"}
    row |= {"attempt": 1, "evaluator": "judge", "skipped": "budget", "segment": 1}
    rows = pa.Table.from_pylist([row], schema=SCORES.schema)
    pipeline.store_of(pipeline.load_settings()).append(SCORES, rows)
    lines = [" ".join(line.split()) for line in evalspan("trace", ID).out.splitlines()]
    assert "skipped tone/kind of chat gpt-4o-mini (0000000000000002)" in lines
    assert "reason: budget" in lines


def test_a_long_text_is_cut_and_full_shows_it(evalspan: Evalspan, ingest: Ingest) -> None:
    answer = "word " * 400 + "x" * 30_000 + " the end"
    ingest(agent(answer))
    cut = evalspan("trace", ID).out
    assert "the end" not in cut
    assert f"[{len(answer) - 400:,} characters more: --full]" in " ".join(cut.split())
    full = evalspan("trace", ID, "--full").out
    assert full.count("word") == 400
    assert full.count("x") >= 30_000
    assert "the end" in full


def test_nothing_that_a_trace_says_acts_in_the_terminal(evalspan: Evalspan, ingest: Ingest) -> None:
    ingest(agent(f"sorry\n{HOSTILE}\nTrace 1234\n  FAIL    latency", name=f"a\n{HOSTILE}"))
    for options in ((), ("--full",)):
        shown = evalspan("trace", ID, *options).out
        assert all(c.isprintable() or c == "\n" for c in shown)
        assert shown.count("[bold]x[/bold] [/x] :smile:") >= 2
        # No line of an answer can pass for one of ours.
        assert [line for line in shown.splitlines() if line.startswith("Trace ")] == [
            f"Trace {ID}, 2026-01-01 00:00:00 UTC, 3 spans"
        ]
        assert not any(line.startswith("  FAIL    latency") for line in shown.splitlines())


def test_the_regressions_that_name_it_are_told(evalspan: Evalspan, ingest: Ingest) -> None:
    ingest(agent())
    now = datetime(2026, 1, 2, tzinfo=UTC)
    common = {"detected_time": now, "view": "prod", "check": "contains", "state": "open"}
    rows = [
        common | {"id": "1" * 12, "reason": "It fell [a].", "exemplars": [ID]},
        common | {"id": "2" * 12, "reason": "Its cause.", "exemplars": ["f" * 32]},
        common | {"id": "3" * 12, "reason": "Another.", "exemplars": None},
        common | {"id": "1" * 12, "reason": "Of a view.", "exemplars": [ID], "view": "slow"},
    ]
    cause = {"regression_id": "2" * 12, "found_time": now, "rank": 1, "exemplars": [ID]}
    tables = pipeline.store_of(pipeline.load_settings())
    tables.append(REGRESSIONS, pa.Table.from_pylist(rows, schema=REGRESSIONS.schema))
    tables.append(FINDINGS, pa.Table.from_pylist([cause], schema=FINDINGS.schema))
    told = evalspan("trace", ID).out.partition("An example of\n")[2]
    lines = sorted(line.strip() for line in told.splitlines())
    assert lines == ["11111111 open: It fell [a].", "22222222 open: Its cause."]


def test_ids_that_do_not_name_one_trace_are_told(evalspan: Evalspan, ingest: Ingest) -> None:
    ingest([span(trace=NUMBER + n, start_unix_nano=START + n * 1000) for n in range(1, 15)])
    several = evalspan("trace", "abcd")
    assert (several.code, several.out) == (2, "")
    assert several.told[0] == "14 traces have an id that starts with 'abcd', the newest:"
    assert several.told[1] == f"  {trace_id(NUMBER + 14).hex()} of 2026-01-01 00:00:00"
    assert several.told[-1] == "  and 4 more"
    none = evalspan("trace", "0123")
    assert (none.code, none.told[0][:43]) == (2, "no trace has an id that starts with '0123';")
    for wrong in ("abc", "abcx", "a" * 33, "\x1b[2Jabcd", "abc*"):
        ran = evalspan("trace", wrong)
        assert ran.code == 2
        assert ran.told == [
            f"expected the id of a trace, or at least 4 hex digits of its start, not {wrong!r}"
        ]
    hidden = evalspan("trace", trace_id(NUMBER + 1).hex(), "--view", "slow")
    assert hidden.code == 2
    assert hidden.told[0].startswith("the view 'slow' lets nothing of the trace")
    assert evalspan("trace", "abcd", "--view", "no").told[0].startswith("there is no view 'no'")


@pytest.mark.parametrize("folder", ["nothing", "empty"])
def test_without_data_it_says_what_to_do(folder: str, evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = evalspan("trace", "abcd", "--data", folder)
    assert (ran.code, ran.out, len(ran.told)) == (1, "", 1)
    start = "nothing is stored in nothing: " if folder == "nothing" else "no span is stored yet: "
    assert ran.told[0].startswith(start)


def test_a_trace_without_verdicts_says_why(
    evalspan: Evalspan, ingest: Ingest, tmp_path: Path
) -> None:
    del ingest
    (tmp_path / "evalspan.yaml").write_text("", encoding="utf-8")
    (tmp_path / "a.binpb").write_bytes(request(agent()).SerializeToString())
    assert evalspan("ingest", "a.binpb").code == 0
    assert "No verdicts: no check is about one of these spans" in evalspan("trace", ID).out


def test_content_of_log_records_is_shown(evalspan: Evalspan, filled: Path) -> None:
    del filled
    ids = pipeline.store_of(pipeline.load_settings()).scan(SCORES).collect()["trace_id"].unique()
    shown = [json.loads(evalspan("trace", i, "--json").out)["spans"] for i in ids]
    texts = [s["input_text"] for spans in shown for s in spans if s["role"] == "llm"]
    assert texts
    assert all(texts)


def row(number: int, parent: int | None, second: int) -> dict[str, Any]:
    ids = {"span_id": str(number), "parent_span_id": None if parent is None else str(parent)}
    return ids | {"start_time": datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), "start_nanos": None}


@pytest.mark.parametrize(
    ("spans", "ordered"),
    [
        ([row(1, None, 0), row(2, 1, 2), row(3, 1, 1), row(4, 3, 3)], "1:0 3:1 4:2 2:1"),
        ([row(2, 9, 1), row(1, None, 0)], "1:0 2:0"),  # the parent never came
        ([row(1, 1, 0)], "1:0"),  # its own parent
        ([row(1, 2, 0), row(2, 1, 1), row(3, None, 5)], "3:0 1:0 2:1"),  # a circle
        ([row(1, None, 0), row(1, None, 1), row(2, 1, 2)], "1:0 2:1 1:0"),  # an id twice
    ],
)
def test_any_parents_make_a_tree_of_every_span(spans: list[dict[str, Any]], ordered: str) -> None:
    tree = _trace._tree(spans)
    assert " ".join(f"{s['span_id']}:{s['depth']}" for s in tree) == ordered


def test_a_chain_of_any_length_is_a_tree() -> None:
    chain = [row(n, n - 1 if n else None, 0) for n in range(5000)]
    assert _trace._tree(chain)[-1]["depth"] == 4999
