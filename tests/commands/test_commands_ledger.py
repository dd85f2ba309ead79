"""What ledger, scores, config check and wal inspect say beside their numbers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from evalspan import pipeline
from evalspan.model import SCORES

Evalspan = Callable[..., Any]
CONFIG = "checks: {status: {}}\n"
CHECKLIST = CONFIG + "checklists: {tone: {questions: {good: 'Is it good?'}}}\n"
KEY = "ANTHROPIC_API_KEY"


@pytest.mark.parametrize("command", [("scores",), ("ledger",), ("ledger", "--json")])
@pytest.mark.parametrize("key", ["", "some key"])
def test_judges_without_a_key_are_told_of(
    command: tuple[str, ...],
    key: str,
    evalspan: Evalspan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, key)
    (tmp_path / "evalspan.yaml").write_text(CHECKLIST, encoding="utf-8")
    (tmp_path / "evalspan-data").mkdir()
    ran = evalspan(*command)
    assert ran.code == (1 if command == ("scores",) else 0)  # there are none
    told = [line for line in ran.told if KEY in line and "tone" in line]
    assert len(told) == (0 if key else 1)
    if "--json" in command:
        json.loads(ran.out)


def test_judges_that_answer_are_not_warned_of(
    evalspan: Evalspan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sidecar has a key; the shell that asks needs none."""
    monkeypatch.delenv(KEY, raising=False)
    (tmp_path / "evalspan.yaml").write_text(CHECKLIST, encoding="utf-8")
    settings = pipeline.load_settings(None)
    judged(settings, 1, error=None)
    assert KEY not in evalspan("scores").err
    assert evalspan("ledger").err == ""
    judged(settings, 2, error=f"LLMError: set the environment variable {KEY} to an API key")
    assert KEY in evalspan("scores").err
    assert KEY in evalspan("ledger").err
    judged(settings, 3, error="LLMError: something else")
    assert KEY not in evalspan("scores").err


def judged(settings: pipeline.Settings, number: int, *, error: str | None) -> None:
    """Store what a judge said of a span."""
    now = datetime.now(UTC)
    row = {
        "time": now,
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "check": "tone",
        "item": "good",
        "attempt": 1,
        "evaluator": "judge",
        "verdict": None if error else "pass",
        "error": error,
        "weight": 1.0,
        "evaluated_time": now,
        "segment": number,
    }
    rows = pa.Table.from_pylist([row], schema=SCORES.schema)
    pipeline.store_of(settings).append(SCORES, rows)


def test_a_folder_that_is_not_there_does_not_balance(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "evalspan.yaml").write_text(CONFIG, encoding="utf-8")
    ran = evalspan("ledger", "--data", "nope")
    assert (ran.code, ran.out) == (2, "")
    assert ran.told == [
        "nothing is stored in nope: there is no such folder (yet); --data or --config names another"
    ]
    (tmp_path / "there").mkdir()
    assert evalspan("ledger", "--data", "there").code == 0


def test_config_check_tells_of_a_key_that_is_not_there(
    evalspan: Evalspan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "evalspan.yaml"
    monkeypatch.delenv(KEY, raising=False)
    file.write_text(CHECKLIST, encoding="utf-8")
    ran = evalspan("config", "check", file)
    assert ran.code == 0
    assert KEY in " ".join(ran.out.split())
    file.write_text(CONFIG, encoding="utf-8")
    assert KEY not in evalspan("config", "check", file).out


def _row(number: int, **more: object) -> dict[str, object]:
    counts = dict.fromkeys(("traces", "logs", "spans", "log_records", "undecodable"), 0)
    times = {"opened": f"at {number}", "closed": f"after {number}"}
    row = {"segment": number, "state": "closed", "size_bytes": 80, **counts, **times}
    return {**row, "error": None, **more}


def test_empty_segments_in_a_row_are_one_line(
    evalspan: Evalspan, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        *(_row(n) for n in (1, 2)),
        _row(3, traces=1, spans=4),
        *(_row(n) for n in range(4, 60)),
        _row(60, error="the end is missing"),
        _row(61, state="open"),
    ]
    monkeypatch.setattr("evalspan.pipeline.inspect_log", lambda _: rows)
    ran = evalspan("wal", "inspect")
    assert ran.code == 1
    assert "4 … 59" in ran.out
    assert "56 empty" in ran.out
    assert "at 4" in ran.out
    assert "after 59" in ran.out
    lines = [line for line in ran.out.splitlines() if "at " in line]
    assert len(lines) == 6
    assert "…" not in evalspan("wal", "inspect", "--all").out
    assert json.loads(evalspan("wal", "inspect", "--json").out) == rows
