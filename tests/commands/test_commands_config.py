"""config check: every mistake with file, line, key, what was expected and the nearest word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evalspan = Callable[..., Any]

# Config, then what a line of the answer must hold.
MISTAKES = {
    "unknown key": ("chekcs:\n  latency: {}", ":1: chekcs: unknown key. Did you mean 'checks'?"),
    "wrong type": ("settle:\n  idle: soon", ":2: settle.idle: expected a duration"),
    "broken YAML": ("checks:\n  latency: {max_ms: 1\n", ":3: this is not valid YAML"),
    "key twice": ("views: {}\nviews: {}", ":2: this is not valid YAML: the key 'views'"),
    "list as key": ("{[1]: 2}", ":1: this is not valid YAML: a key is text"),
    "no such check": ("checks:\n  latencyy: {}", ":2: checks.latencyy: there is no 'latencyy'"),
    "nearest check": ("checks:\n  latencyy: {}", "Did you mean 'latency'?"),
    "setting of a check": (
        "checks:\n  latency:\n    match: role = 'llm'\n    max_s: 3",
        ":4: checks.latency.max_s: unknown key. Did you mean 'max_ms'?",
    ),
    "type of a setting": (
        "checks:\n  latency: {max_ms: fast}",
        ":2: checks.latency.max_ms: expected a number (found 'fast')",
    ),
    "aggregate": (
        "checks:\n  latency:\n    match: avg(input_tokens) > 3",
        ":3: checks.latency.match: an aggregate is not possible here",
    ),
    "column in match": (
        "checks:\n  latency:\n    match: rol = 'llm'",
        ":3: checks.latency.match: a span has no column 'rol'. Did you mean 'role'?",
    ),
    "type in match": (
        "checks:\n  latency:\n    match: output_text",
        ":3: checks.latency.match: it must give true or false",
    ),
    "schema file": (
        "checks:\n  json_schema:\n    schema: missing.json",
        ":3: checks.json_schema.schema: ",
    ),
    "user module": (
        "checks:\n  mine: {use: 'broken:check'}",
        ":2: checks.mine.use: broken:check: the module 'broken' cannot be loaded: ValueError",
    ),
    "user module that exits": (
        "checks:\n  mine: {use: 'exits:check'}",
        ":2: checks.mine.use: exits:check: the module 'exits' cannot be loaded: SystemExit",
    ),
    "user function": (
        "checks:\n  mine: {use: 'mine:nothere'}",
        ":2: checks.mine.use: mine:nothere: mine has no function 'nothere'",
    ),
    "name with a slash": ("checks:\n  a/b: {use: latency}", ":2: checks.a/b: a name is not empty"),
    "checklist": (
        "checklists:\n  tone:\n    questions: {kind: Kind}\n    match: rolle = 'llm'",
        ":4: checklists.tone.match: a span has no column 'rolle'. Did you mean 'role'?",
    ),
    "checklist without questions": (
        "checklists:\n  tone: {questions: {}}",
        ":2: checklists.tone.questions: ",
    ),
    "check and checklist": (
        "checks:\n  latency:\nchecklists:\n  latency: {questions: {a: b}}",
        ":4: checklists.latency: a check has this name already",
    ),
    "view watched": (
        "views:\n  slow: {filter: value > 1}\nanalysis:\n  views:\n    - slwo",
        ":5: analysis.views.0: there is no view 'slwo'. Did you mean 'slow'? Known: prod, slow",
    ),
    "column in view": (
        "views:\n  eu:\n    filter: verdct = 'fail'",
        ":3: views.eu.filter: a score has no column 'verdct'. Did you mean 'verdict'?",
    ),
    "aggregate in view": (
        "views:\n  eu:\n    filter: value > avg(value)",
        ":3: views.eu.filter: an aggregate is not possible here: the condition",
    ),
    "no condition in view": (
        "views:\n  eu:\n    filter: value",
        ":3: views.eu.filter: it must give true or false, but gives Float64",
    ),
    "no SQL in view": ("views:\n  eu: {filter: 'value +'}", ":2: views.eu.filter: this is no SQL"),
    "name of a view": ("views:\n  prod: {}", ":2: views.prod: this name stands for everything"),
    "dimension without source": ("dimensions:\n  a: {}", ":2: dimensions.a: set attribute or"),
    "column of a dimension": (
        "dimensions:\n  a:\n    column: request_modle",
        ":3: dimensions.a.column: SPANS has no column 'request_modle'. Did you mean",
    ),
    "dimension named as a column": (
        "dimensions:\n  span_id: {attribute: x}",
        ":2: dimensions.span_id: this is the name of a column",
    ),
    "dimension named as a label": (
        "dimensions:\n  verdict: {attribute: x}",
        ":2: dimensions.verdict: this is the name of a column or label",
    ),
    "dimension that is no label": (
        "dimensions:\n  my-team: {attribute: x}",
        ":2: dimensions.my-team: a dimension becomes a metric label",
    ),
    "dimension of detect": (
        "dimensions:\n  team: {attribute: x}\ndetect:\n  dimensions: [service, taem]",
        ":4: detect.dimensions.1: there is no dimension 'taem'. Did you mean 'team'?",
    ),
    "buckets": (
        "checks:\n  latency:\nmetrics:\n  buckets:\n    latncy: [1, 2]",
        ":5: metrics.buckets.latncy: there is no check 'latncy'. Did you mean 'latency'?",
    ),
    "mutator": (
        "optimize:\n  mutators:\n    - rewrit",
        ":3: optimize.mutators.0: there is no 'rewrit' here",
    ),
    "target": ("optimize:\n  target: {use: opnai}", ":2: optimize.target.use: there is no 'opnai'"),
    "ticks": ("wal:\n  tick_for: 10s", ":2: wal.tick_for: must be at least settle.idle"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_file_line_and_key(
    name: str, evalspan: Evalspan, tmp_path: Path
) -> None:
    config, told = MISTAKES[name]
    (tmp_path / "broken.py").write_text("raise ValueError('no')", encoding="utf-8")
    (tmp_path / "exits.py").write_text("raise SystemExit(0)", encoding="utf-8")
    (tmp_path / "mine.py").write_text("def check(span): return True", encoding="utf-8")
    file = tmp_path / "my.yaml"
    file.write_text(config, encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert ran.code == 2
    assert ran.out == ""
    assert any(line.startswith("my.yaml:") and told in line for line in ran.told), ran.err


def test_all_mistakes_are_told_at_once(evalspan: Evalspan, tmp_path: Path) -> None:
    config = "checks:\n  latency: {max: 1}\n  nothere: {}\nviews:\n  a: {filter: 'nothing = 1'}"
    (tmp_path / "my.yaml").write_text(config, encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert [line.split(":")[1] for line in ran.told] == ["2", "3", "5"]


@pytest.mark.parametrize("command", [("serve",), ("ingest", "evalspan.yaml"), ("scores",)])
def test_a_wrong_config_stops_every_command(
    command: tuple[str, ...], evalspan: Evalspan, tmp_path: Path
) -> None:
    (tmp_path / "evalspan.yaml").write_text("settle: {idel: 1s}", encoding="utf-8")
    ran = evalspan(*command)
    assert ran.code == 2
    assert ran.told[0].startswith("evalspan.yaml:1: settle.idel: unknown key")


@pytest.mark.parametrize("command", [("serve",), ("ingest", "evalspan.yaml")])
def test_a_wrong_check_is_told_with_its_line_where_it_would_run(
    command: tuple[str, ...], evalspan: Evalspan, tmp_path: Path
) -> None:
    (tmp_path / "evalspan.yaml").write_text("checks:\n  latency: {max: 1}", encoding="utf-8")
    ran = evalspan(*command)
    assert ran.code == 2
    assert ran.told[0].startswith("evalspan.yaml:2: checks.latency.max: unknown key")


def test_keys_with_nothing_behind_them_are_defaults(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("checks:\n  latency:\nviews:\nsettle:\n", encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert "my.yaml: good" in ran.out


def test_a_config_without_checks_is_good_and_says_so(evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("", encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert ran.code == 0
    assert "no checks are configured" in ran.out


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_told(
    content: bytes | None, evalspan: Evalspan, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "my.yaml").write_bytes(content)
    ran = evalspan("config", "check", "my.yaml")
    assert ran.code == 2
    assert ran.told[0].startswith("my.yaml: cannot be read: ")
