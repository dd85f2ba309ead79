"""The user's own checks: in another process, which may hang, die or talk nonsense."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evalspan.config import ConfigError
from evalspan.evaluate import CheckSettings, Evaluator, build

Frame = Callable[..., pl.DataFrame]
Mine = Callable[..., Evaluator]

MODULE = """
import os, sys, time
import polars as pl
from evalspan.plugin import Verdict

def short(span, *, most: int = 5):
    '''Pass if the answer is short.'''
    print("this must not disturb anything")
    return Verdict(passed=len(span.output_text) <= most, value=len(span.output_text))

def process(span):
    return float(os.getpid())

def moody(span):
    match span.output_text:
        case "raise": raise ValueError("bad mood")
        case "hang": time.sleep(3600)
        case "exit": os._exit(3)
        case "quit": sys.exit(4)
        case "text": return "nonsense"
        case "nan": return float("nan")
        case "huge": return 10 ** 400
        case "surrogate": return Verdict(passed=True, reason="a\\ud800b")
        case "items": return {"a": True, "b": 0.5, "c": None, "d": "?"}
        case "empty": return {}
        case "typo": return span.output_txt
        case "wrong": return Verdict(passed="yes")
    return True

def whole(spans, *, word: str = "a"):
    return spans.select(passed=pl.col("output_text").str.contains(word), value=pl.lit(float("nan")))

def whole_moody(spans):
    if "hang" in spans["output_text"]: time.sleep(3600)
    if "exit" in spans["output_text"]: os._exit(3)
    return 7

def conversation(trace):
    return len(trace.spans)

def told(span, *, folder):
    return Verdict(reason=f"{folder.name}|{span.attributes.get('x')}|{span.dimensions}")

def fixed(span, most):
    return True

def odd(row):
    return True
"""


CHECKS = {
    "short": {"use": "user_checks:short", "most": 2},
    "pid": {"use": "user_checks:process"},
    "moody": {"use": "user_checks:moody", "time_limit": "2s"},
    "whole": {"use": "user_checks:whole", "word": "b"},
    "whole_moody": {"use": "user_checks:whole_moody", "time_limit": "2s"},
    "turns": {"use": "user_checks:conversation"},
    "told": {"use": "user_checks:told"},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluator]:
    """All user checks of this file, with one worker for all tests: starting it takes a second."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "user_checks.py").write_text(MODULE)
    checks = {name: CheckSettings.model_validate(given) for name, given in CHECKS.items()}
    evaluator = build(checks, folder=folder, dimensions=("customer",))
    yield evaluator
    evaluator.close()


@pytest.fixture
def mine(shared: Evaluator) -> Iterator[Callable[..., Evaluator]]:
    """Leave only the named checks in the shared evaluator."""
    everything = dict(shared.checks)

    def choose(*names: str) -> Evaluator:
        shared.checks = {name: everything[name] for name in names}
        return shared

    yield choose
    shared.checks = everything


def scores(evaluator: Evaluator, spans: pl.DataFrame) -> list[tuple[Any, ...]]:
    return evaluator.score(spans).select("item", "passed", "value", "error").rows()


def answers(frame: Frame, *texts: str) -> pl.DataFrame:
    return frame(*({"output_text": text} for text in texts))


def test_a_span_check_runs_elsewhere_with_its_settings(frame: Frame, mine: Mine) -> None:
    checks = mine("short", "pid")
    spans = answers(frame, "ab", "abc")
    rows = checks.score(spans).select("check", "passed", "value").rows()
    assert rows[:2] == [("short", True, 2.0), ("short", False, 3.0)]
    worker = {value for check, _, value in rows if check == "pid"}
    assert len(worker) == 1
    assert worker != {float(os.getpid())}


@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("raise", [("", None, None, "ValueError: bad mood")]),
        ("text", [("", None, None, "it returned str and not a Verdict")]),
        ("nan", [("", None, None, "value is nan, which is not a finite number")]),
        ("empty", [("", None, None, "it returned an empty dict")]),
        ("wrong", [("", None, None, "passed is 'yes' and not true, false or None")]),
        ("surrogate", [("", True, None, None)]),
        (
            "items",
            [
                ("a", True, None, None),
                ("b", None, 0.5, None),
                ("c", None, None, None),
                ("d", None, None, "it returned str and not a Verdict"),
            ],
        ),
    ],
)
def test_what_it_returns_becomes_rows(
    frame: Frame, mine: Mine, mood: str, expected: list[tuple[Any, ...]]
) -> None:
    checks = mine("moody")
    assert scores(checks, answers(frame, mood, "fine")) == [*expected, ("", True, None, None)]


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("hang", "TimeoutError: no answer within 2 s"),
        ("exit", "its worker process ended with exit code 3"),
        ("quit", "its worker process ended with exit code 4"),
        ("huge", "not a finite number"),
        ("typo", "did you mean 'output_text'"),
    ],
)
def test_one_bad_span_does_not_harm_the_others(
    frame: Frame, mine: Mine, mood: str, error: str
) -> None:
    checks = mine("moody", "short")
    evaluated = checks.evaluate(answers(frame, "fine", mood, "fine", "fine"))
    rows = [r for r in evaluated.scores.to_pylist() if r["check"] == "moody"]
    assert [r["verdict"] for r in rows] == ["pass", None, "pass", "pass"]
    assert error in rows[1]["error"]
    counts = {c.outcome: c.number for c in evaluated.counts if c.subject == "check:moody"}
    assert counts == {"expected": 4, "done": 3, "error": 1}
    assert sum(r["check"] == "short" for r in evaluated.scores.to_pylist()) == 4


def test_a_check_that_hangs_every_time_is_given_up_for_the_batch(frame: Frame, mine: Mine) -> None:
    checks = mine("moody")
    rows = scores(checks, answers(frame, *["hang"] * 6))
    assert [error.split(":")[0] for *_, error in rows] == ["TimeoutError"] * 3 + ["not asked"] * 3
    assert scores(checks, answers(frame, "fine")) == [("", True, None, None)]


def test_a_frame_check(frame: Frame, mine: Mine) -> None:
    checks = mine("whole")
    rows = scores(checks, answers(frame, "b"))
    assert rows == [("", None, None, "value is NaN, which is not a finite number")]


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("hang", "TimeoutError: no answer within 2 s"),
        ("exit", "its worker process ended with exit code 3"),
        ("other", "ValueError: it returned int"),
    ],
)
def test_a_frame_check_that_fails_is_an_error_on_every_span(
    frame: Frame, mine: Mine, mood: str, error: str
) -> None:
    checks = mine("whole_moody")
    rows = scores(checks, answers(frame, mood, "x"))
    assert len(rows) == 2
    assert all(error in row[3] for row in rows)


def test_a_trace_check(frame: Frame, mine: Mine) -> None:
    spans = frame({}, {"role": "tool"}, {"trace_id": "b" * 32, "role": "agent"})
    found = mine("turns").score(spans)
    assert found.select("row", "value").rows() == [(0, 2.0), (2, 1.0)]


def test_it_sees_attributes_dimensions_and_the_folder(frame: Frame, mine: Mine) -> None:
    empty = dict.fromkeys(("string", "int", "double", "bool", "bytes", "nested"))
    row = {"customer": "acme", "attributes": [{"key": "x", **empty, "int": 4}]}
    checks = mine("told")
    (reason,) = checks.score(frame(row, dimensions=("customer",)))["reason"]
    assert re.fullmatch(r"user\d+\|4\|{'customer': 'acme'}", reason)


def test_its_revision_is_that_of_its_file_and_of_what_it_imports_from_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))

    def revision(folder: str, text: str, helper: str, most: int = 2) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "counted_checks.py").write_text("import counted_helper\n" + text)
        (tmp_path / folder / "counted_helper.py").write_text(helper)
        given = {"use": "counted_checks:short", "most": most}
        checks = {"short": CheckSettings.model_validate(given)}
        made = build(checks, folder=tmp_path / folder).checks["short"].revision
        for name in ("counted_checks", "counted_helper"):
            del sys.modules[name]
        return made

    first = revision("a", MODULE, "A = 1")
    assert revision("b", MODULE, "A = 1") == first
    others = [
        revision("c", MODULE + "# new", "A = 1"),
        revision("d", MODULE, "A = 2"),
        revision("e", MODULE, "A = 1", most=3),
    ]
    assert len({first, *others}) == 4


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fixed", "settings must be keyword parameters with defaults: most"),
        ("odd", "must be named spans, span or trace, not 'row'"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_a_function_of_no_known_shape_is_refused(
    shared: Evaluator, function: str, message: str
) -> None:
    assert shared.checks
    checks = {"mine": CheckSettings(use=f"user_checks:{function}")}
    with pytest.raises(ConfigError, match=message):
        build(checks, folder=Path())
