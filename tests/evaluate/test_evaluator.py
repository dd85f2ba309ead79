"""SCORES and the ledger of a settlement."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan import model
from evalspan.config import ConfigError
from evalspan.evaluate import (
    ChecklistSettings,
    CheckSettings,
    Evaluated,
    Evaluator,
    Problem,
    _evaluator,
    build,
    validate,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = pl.DataFrame(pl.from_arrow(model.SPANS.empty())).schema
Frame = Callable[..., pl.DataFrame]
Build = Callable[..., Evaluator]


def ledger(evaluated: Evaluated, check: str) -> dict[str, int]:
    lines = [line for line in evaluated.counts if line.subject == f"check:{check}"]
    return {line.reason or line.outcome: line.number for line in lines}


def test_a_score_has_all_columns_of_the_contract(frame: Frame, ready: Build) -> None:
    row = {
        "duration_ms": 5.0,
        "service_name": "shop",
        "prompt_name": "triage",
        "prompt_hash": "abc",
        "request_model": "asked",
        "response_model": "answered",
        "conversation_id": "c",
        "customer": "acme",
    }
    checks = ready(("customer", "region"), slow={"use": "latency", "max_ms": 1, "sample": 0.5})
    trace = next(t for t in (f"{n:032x}" for n in range(99)) if _kept(checks, frame, t))
    spans = frame({**row, "trace_id": trace}, dimensions=("customer", "region"))
    when = datetime(2026, 4, 1, tzinfo=UTC)
    scores = checks.evaluate(spans, segment=7, evaluated_time=when).scores
    assert scores.schema == model.SCORES.schema
    assert scores.to_pylist() == [
        {
            "time": spans["start_time"][0],
            "trace_id": trace,
            "span_id": spans["span_id"][0],
            "check": "slow",
            "item": "",
            "revision": checks.checks["slow"].revision,
            "attempt": 1,
            "evaluator": "check",
            "value": 5.0,
            "verdict": "fail",
            "reason": "5.0 ms, limit 1.0 ms",
            "evidence": None,
            "error": None,
            "skipped": None,
            "weight": 2.0,
            "cost_usd": None,
            "service_name": "shop",
            "prompt_name": "triage",
            "prompt_version": "abc",
            "model": "answered",
            "conversation_id": "c",
            "dimensions": [("customer", "acme")],
            "evaluated_time": when,
            "segment": 7,
            "about": "span",
        }
    ]


def _kept(checks: Evaluator, frame: Frame, trace: str) -> bool:
    spans = frame({"trace_id": trace}, dimensions=("customer", "region"))
    return bool(checks.evaluate(spans).scores.num_rows)


def test_dimensions_stand_beside_their_own_span(frame: Frame, ready: Build) -> None:
    dimensions = ("customer", "region")
    checks = ready(dimensions, latency={}, status={})
    rows: list[dict[str, Any]] = [
        {"customer": "a", "region": "eu"},
        {"region": "us"},
        {},
        {"customer": "b", "role": "tool"},
        {"customer": "c"},
    ]
    scores = checks.evaluate(frame(*rows, dimensions=dimensions)).scores.to_pylist()
    found = [(s["check"], s["dimensions"]) for s in scores]
    expected = [list(rows[i].items()) for i in (0, 1, 2, 4)]
    assert found == [(name, d) for name in ("latency", "status") for d in expected]


def test_the_ledger_says_what_became_of_every_span(frame: Frame, ready: Build) -> None:
    spans = frame({}, {"counts": False}, {"role": "tool"}, {}, {"counts": False, "role": "tool"})
    evaluated = ready(latency={}).evaluate(spans)
    assert ledger(evaluated, "latency") == {
        "expected": 5,
        "done": 2,
        "duplicate": 2,
        "filter": 1,
    }
    assert evaluated.scores["span_id"].to_pylist() == spans["span_id"].gather([0, 3]).to_list()


def test_a_match_of_the_config_takes_the_place_of_the_checks_own(
    frame: Frame, ready: Build
) -> None:
    spans = frame({"role": "tool", "duration_ms": 1.0}, {"duration_ms": 2.0})
    checks = ready(latency={"match": "role = 'tool'"})
    assert checks.evaluate(spans).scores["value"].to_pylist() == [1.0]


def test_sampling_chooses_the_same_whole_traces_every_time(frame: Frame, ready: Build) -> None:
    spans = frame(*({"trace_id": f"{n // 2:032x}", "duration_ms": 1.0} for n in range(2_000)))
    checks = ready(half={"use": "latency", "sample": 0.5}, tenth={"use": "latency", "sample": 0.1})
    first, second = checks.evaluate(spans), checks.evaluate(spans.reverse())
    kept = {}
    for check in ("half", "tenth"):
        by_trace = [
            Counter(r["trace_id"] for r in e.scores.to_pylist() if r["check"] == check)
            for e in (first, second)
        ]
        assert by_trace[0] == by_trace[1]
        assert set(by_trace[0].values()) == {2}
        kept[check] = set(by_trace[0])
    assert kept["tenth"] < kept["half"]
    assert 400 < len(kept["half"]) < 600
    assert ledger(first, "half")["sampled"] + ledger(first, "half")["done"] == 2_000


def test_context_is_seen_by_trace_checks_and_not_scored_again(frame: Frame, ready: Build) -> None:
    call = {"role": "tool", "tool_name": "find", "input_text": "x"}
    earlier = frame({"role": "agent", "attempt": 2}, {**call, "attempt": 2}, {**call, "attempt": 2})
    late = frame({**call, "span_id": "f" * 16, "attempt": 2, "root": False})
    checks = ready(tool_loop={"times": 3}, tool_error={})
    evaluated = checks.evaluate(late, earlier)
    found = [(s["check"], s["span_id"], s["value"]) for s in evaluated.scores.to_pylist()]
    assert found == [("tool_loop", earlier["span_id"][0], 3.0), ("tool_error", "f" * 16, None)]
    assert ledger(evaluated, "tool_error") == {"expected": 1, "done": 1}
    assert ledger(evaluated, "tool_loop") == {"expected": 1, "done": 1}


def test_a_trace_check_is_expected_once_per_trace(frame: Frame, ready: Build) -> None:
    tool = {"role": "tool", "input_text": "x"}
    spans = frame(
        {"trace_id": "a" * 32},
        {"trace_id": "a" * 32, **tool},
        {"trace_id": "b" * 32},
        {"trace_id": "c" * 32, **tool},
    )
    evaluated = ready(tool_loop={}).evaluate(spans)
    assert ledger(evaluated, "tool_loop") == {"expected": 3, "done": 2, "filter": 1}


def test_a_check_that_breaks_is_a_row_and_the_others_go_on(
    frame: Frame, ready: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = ready(latency={}, status={})

    def broken(_: pl.DataFrame, **__: object) -> pl.DataFrame:
        msg = "no way"
        raise RuntimeError(msg)

    monkeypatch.setitem(checks.checks, "latency", _with(checks.checks["latency"], broken))
    evaluated = checks.evaluate(frame({"duration_ms": 1.0}))
    found = [(s["check"], s["verdict"], s["error"]) for s in evaluated.scores.to_pylist()]
    assert found == [("latency", None, "RuntimeError: no way"), ("status", "pass", None)]
    assert ledger(evaluated, "latency") == {"expected": 1, "error": 1}


def _with(check: Any, function: Any) -> Any:  # noqa: ANN401 - a check
    return replace(check, function=function)


def test_a_condition_that_real_data_breaks_is_an_error(frame: Frame, ready: Build) -> None:
    match = "cast(user_id as int) > 3"
    checks = ready(latency={"match": match}, tool_loop={"match": match}, status={})
    spans = frame({"user_id": "5"}, {"user_id": "five"}, {"counts": False})
    evaluated = checks.evaluate(spans)
    errors = [s["error"] for s in evaluated.scores.to_pylist() if s["check"] != "status"]
    assert len(errors) == 3
    assert all(e.startswith("its match could not be computed: ") for e in errors)
    assert ledger(evaluated, "latency") == {"expected": 3, "duplicate": 1, "error": 2}
    assert ledger(evaluated, "tool_loop") == {"expected": 1, "error": 1}
    assert ledger(evaluated, "status") == {"expected": 3, "duplicate": 1, "done": 2}


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (None, "it returned NoneType"),
        (pl.DataFrame({"passed": [True]}), "it returned 1 rows for 2 spans"),
        (pl.DataFrame({"verdict": [1, 2]}), "unknown columns: verdict"),
        (pl.DataFrame({"passed": ["yes", "no"]}), "column passed is String"),
        (pl.DataFrame({"value": ["1", "2"]}), "column value is String"),
        (pl.DataFrame({"reason": [1, 2]}), "column reason is Int64"),
        (pl.DataFrame({"value": [float("nan"), 1.0]}), "value is NaN"),
        (pl.DataFrame({"value": [float("-inf"), 1.0]}), "value is -inf"),
        (pl.Series([[1], [2]]), "column value is List"),
    ],
)
def test_nonsense_of_a_vectorised_check_is_an_error(
    frame: Frame, ready: Build, monkeypatch: pytest.MonkeyPatch, result: object, error: str
) -> None:
    checks = ready(latency={})
    nonsense = _with(checks.checks["latency"], lambda _, **__: result)
    monkeypatch.setitem(checks.checks, "latency", nonsense)
    scores = checks.evaluate(frame({}, {})).scores.to_pylist()
    assert len(scores) == 2
    assert error in scores[0]["error"]
    assert scores[0]["value"] is scores[0]["verdict"] is None


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (pl.Series([True, None]), [(None, True), (None, None)]),
        (pl.Series([1, 2]), [(1.0, None), (2.0, None)]),
        (pl.DataFrame({"passed": [None, None]}), [(None, None), (None, None)]),
        (pl.Series([{"passed": True, "value": 2}] * 2), [(2.0, True), (2.0, True)]),
    ],
)
def test_short_forms_of_a_vectorised_check(
    frame: Frame,
    ready: Build,
    monkeypatch: pytest.MonkeyPatch,
    result: object,
    expected: list[tuple[float | None, bool | None]],
) -> None:
    checks = ready(latency={})
    monkeypatch.setitem(
        checks.checks, "latency", _with(checks.checks["latency"], lambda _, **__: result)
    )
    assert checks.score(frame({}, {})).select("value", "passed").rows() == expected


def test_inline_answers_what_is_marked_and_never_samples(frame: Frame, ready: Build) -> None:
    checks = ready(
        latency={"max_ms": 1, "inline": True, "sample": 0.0001}, status={"inline": False}
    )
    spans = frame({"duration_ms": 2.0}, {"role": "tool"}).drop("attempt", "counts", "root")
    (verdict,) = checks.inline(spans)
    assert (verdict.check, verdict.passed, verdict.value) == ("latency", False, 2.0)
    assert (verdict.trace_id, verdict.span_id) == (spans["trace_id"][0], spans["span_id"][0])
    assert verdict.revision == checks.checks["latency"].revision


def test_score_takes_a_frame_of_a_few_columns(ready: Build) -> None:
    checks = ready(json_valid={}, tokens={"max_output": 5}, tool_loop={})
    trials = pl.DataFrame({"output_text": ["{}", "no"], "output_tokens": [1, 9]})
    found = checks.score(trials).select("row", "check", "passed").rows()
    assert found == [
        (0, "json_valid", True),
        (1, "json_valid", False),
        (0, "tokens", True),
        (1, "tokens", False),
    ]
    assert ready().score(trials).columns == checks.score(trials).columns


def test_a_revision_follows_settings_and_not_the_name(ready: Build) -> None:
    one = ready(a={"use": "latency", "max_ms": 1}, b={"use": "latency", "max_ms": 1.0}).checks
    two = ready(a={"use": "latency", "max_ms": 2, "match": "true"}).checks
    assert one["a"].revision == one["b"].revision != two["a"].revision


SPAN = st.fixed_dictionaries(
    {
        "trace_id": st.sampled_from(["a" * 32, "b" * 32, "c" * 32]),
        "role": st.sampled_from(["llm", "tool", "agent"]),
        "counts": st.booleans(),
        "customer": st.one_of(st.none(), st.text(max_size=3)),
        "duration_ms": st.one_of(st.none(), st.floats(0, 9)),
    }
)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(SPAN, max_size=8), earlier=st.lists(SPAN, max_size=4))
def test_expected_is_done_and_skipped_and_error(
    frame: Frame, rows: list[dict[str, Any]], earlier: list[dict[str, Any]]
) -> None:
    checks = {
        "latency": CheckSettings(max_ms=1),
        "sampled": CheckSettings(use="status", sample=0.5),
        "tool_loop": CheckSettings(match="customer <> ''"),
    }
    evaluator = build(checks, folder=Path("/"), dimensions=("customer",))
    spans, context = (frame(*r, dimensions=("customer",)) for r in (rows, earlier))
    evaluated = evaluator.evaluate(spans, context)
    for check in checks:
        lines = ledger(evaluated, check)
        expected = lines.pop("expected", 0)
        assert expected == sum(lines.values())
        per_trace = spans["trace_id"].n_unique()
        assert expected == (per_trace if check == "tool_loop" else len(rows))
        done = [r for r in evaluated.scores.to_pylist() if r["check"] == check]
        assert len(done) == lines.get("done", 0)
    for score in evaluated.scores.to_pylist():
        assert dict(score["dimensions"]).get("customer", ...) is not None


@pytest.mark.parametrize(
    ("name", "given_settings", "path", "message"),
    [
        ("latenzy", {}, ("checks", "latenzy"), "Did you mean 'latency'?"),
        ("x", {"use": "latenci"}, ("checks", "x", "use"), "Did you mean 'latency'?"),
        ("x", {"use": "nowhere:f"}, ("checks", "x", "use"), "cannot be loaded"),
        ("latency", {"max": 3}, ("checks", "latency", "max"), "Did you mean 'max_ms'?"),
        ("latency", {"max_ms": "3"}, ("checks", "latency", "max_ms"), "expected a number"),
        ("latency", {"max_ms": float("nan")}, ("checks", "latency", "max_ms"), "finite"),
        ("latency", {"match": "rol = 1"}, ("checks", "latency", "match"), "'role'"),
        ("tokens", {"max_input": 1.5}, ("checks", "tokens", "max_input"), "whole number"),
        ("regex", {}, ("checks", "regex", "pattern"), "needs this setting"),
        ("regex", {"pattern": "("}, ("checks", "regex", "pattern"), "unclosed group"),
        ("regex", {"pattern": "a", "expect": "x"}, ("checks", "regex", "expect"), "'no_match'"),
        ("contains", {}, ("checks", "contains"), "at least one of any, all and none"),
        (
            "contains",
            {"any": ["a", 1]},
            ("checks", "contains", "any", 1),
            "expected text (found 1)",
        ),
        ("json_schema", {"schema": "no.json"}, ("checks", "json_schema", "schema"), "no.json"),
        (
            "json_schema",
            {"schema": {"type": 3}},
            ("checks", "json_schema", "schema", "type"),
            "3 is no JSON Schema type",
        ),
        (
            "json_schema",
            {"schema": {"$ref": "http://example.invalid/x.json"}},
            ("checks", "json_schema", "schema"),
            "example.invalid",
        ),
        ("cost", {"prices": {}}, ("checks", "cost", "prices"), "unknown key"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(
    tmp_path: Path,
    name: str,
    given_settings: dict[str, Any],
    path: tuple[str | int, ...],
    message: str,
) -> None:
    checks = {name: CheckSettings(**given_settings)}
    found = {problem.path: problem.message for problem in validate(checks, folder=tmp_path)}
    assert message in found[path]
    with pytest.raises(ConfigError, match=r"^checks\."):
        build(checks, folder=tmp_path)


def test_checklists_are_validated_too(tmp_path: Path) -> None:
    bad = ChecklistSettings(questions={"q": "Polite?"}, match="max(role) = 'x'")  # type: ignore[dict-item]
    good = ChecklistSettings(questions={"q": "Polite?"})  # type: ignore[dict-item]
    checks = {"latency": CheckSettings()}
    problems = validate(checks, {"tone": bad, "latency": good}, folder=tmp_path)
    assert [p.path for p in problems] == [
        ("checklists", "tone", "match"),
        ("checklists", "latency"),
    ]
    assert all(isinstance(p, Problem) and "checklists." in str(p) for p in problems)


WORDS = st.sampled_from(["a", "b", "c", "d", "e"])
OF_TRACES = st.lists(st.tuples(WORDS, st.sampled_from(["fine", "I am sorry", None])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=OF_TRACES, earlier=OF_TRACES, most=st.integers(1, 6))
def test_what_is_evaluated_in_slices_is_what_is_evaluated_at_once(
    rows: list[tuple[str, str | None]], earlier: list[tuple[str, str | None]], most: int
) -> None:
    """Slices hold whole traces, the late ones with their context, and are counted together."""
    given = {
        "no_apology": {"use": "contains", "none": ["sorry"], "sample": 0.5},
        "tool_loop": {"times": 2},
        "status": {"match": "output_text IS NOT NULL"},
    }
    checks = {name: CheckSettings(**each) for name, each in given.items()}
    parts = [_of_traces(part, start) for part, start in ((rows, 0), (earlier, 100))]
    found = []
    for size in (most, 1_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_evaluator, "_MOST_SPANS", size)
            evaluator = build(checks, folder=Path.cwd())
            found.append(evaluator.evaluate(*parts, segment=3, evaluated_time=START))
            evaluator.close()
    sliced, at_once = found
    assert sorted(sliced.counts) == sorted(at_once.counts)
    order = ["trace_id", "span_id", "check", "item"]
    one, other = (pl.DataFrame(each.scores).sort(order) for each in found)
    assert one.equals(other)
    assert sliced.scores.schema == at_once.scores.schema


def _of_traces(rows: list[tuple[str, str | None]], start: int) -> pl.DataFrame:
    full = [
        {
            "trace_id": trace * 32,
            "span_id": f"{start + number:016x}",
            "content": number,
            "start_time": START,
            "role": "llm",
            "output_text": text,
            "received_time": START,
            "segment": 1,
            "attempt": 1,
            "counts": number % 5 != 0,
            "root": False,
        }
        for number, (trace, text) in enumerate(rows)
    ]
    added = {"attempt": pl.Int32, "counts": pl.Boolean, "root": pl.Boolean}
    return pl.DataFrame(full, schema={**SCHEMA, **added}, orient="row")


def test_a_late_root_takes_the_verdict_on_its_trace(frame: Frame, ready: Build) -> None:
    checks = ready(tool_loop={"times": 2}, status={"match": "true"})
    call = {"role": "tool", "tool_name": "search", "input_text": "{}"}
    early = frame(call, call)
    root = frame({"role": "agent", "span_id": "f" * 16, "attempt": 2})
    earlier = early.with_columns(root=pl.lit(value=False))
    rows = [
        *checks.evaluate(early).scores.to_pylist(),
        *checks.evaluate(root, earlier).scores.to_pylist(),
    ]
    loops = [(r["span_id"], r["attempt"], r["about"]) for r in rows if r["check"] == "tool_loop"]
    assert loops == [(early["span_id"][0], 1, "trace"), ("f" * 16, 2, "trace")]
    assert {r["about"] for r in rows if r["check"] == "status"} == {"span"}


LONG = "é" * 20_000
LABELS = {
    "service_name": "service_name",
    "prompt_name": "prompt_name",
    "prompt_version": "prompt_version",
    "response_model": "model",
    "conversation_id": "conversation_id",
}


@pytest.mark.parametrize("column", LABELS)
@pytest.mark.parametrize("refused", [False, True], ids=["evaluated", "refused"])
def test_a_long_label_is_not_written_out_for_every_verdict(
    column: str,
    refused: bool,  # noqa: FBT001 - a parameter
    frame: Frame,
    ready: Build,
) -> None:
    checks = ready(**{f"check_{n}": {"use": "latency"} for n in range(5)})
    trace = "a".ljust(32, "0")
    spans = frame(*({column: LONG} for _ in range(500)))
    done = checks.refuse(spans, {trace: "x" * 9_000}) if refused else checks.evaluate(spans)
    assert done.scores.num_rows == 2_500
    assert set(done.scores.column(LABELS[column]).to_pylist()) == {LONG[:200]}
    assert done.scores.drop_columns("error").nbytes < 2_500 * 1_000
    assert all(len(e or "") <= 2_000 for e in done.scores.column("error").to_pylist())


def test_the_hash_of_a_long_prompt_stands_for_its_version(frame: Frame, ready: Build) -> None:
    """Cutting changes nothing about which of two columns is taken."""
    spans = frame({"prompt_version": LONG, "prompt_hash": "h"}, {"prompt_hash": "h" * 300})
    scores = ready(latency={}).evaluate(spans).scores
    assert scores.column("prompt_version").to_pylist() == [LONG[:200], "h" * 200]
