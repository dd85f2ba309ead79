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
    "question of minimum_effects": (
        (
            "checklists: {tone: {questions: {kind: Kind}}}\ndetect:\n  minimum_effects:\n"
            "    tone/kid: 0.1"
        ),
        (
            ":4: detect.minimum_effects.tone/kid: there is no question of 'tone' named 'kid'. "
            "Did you mean 'kind'? Known: kind"
        ),
    ),
    "item of a check without items": (
        "checks: {latency: {max_ms: 1}}\ndetect:\n  minimum_effects: {latency/foo: 0.1}",
        ":3: detect.minimum_effects.latency/foo: the check 'latency' has no items; write 'latency'",
    ),
    "check of minimum_effects": (
        "checks: {latency: {max_ms: 1}}\ndetect:\n  minimum_effects: {latncy/foo: 0.1}",
        ":3: detect.minimum_effects.latncy/foo: there is no check 'latncy'. Did you mean 'latency'",
    ),
    "prompt dimension": (
        "explain:\n  prompt_dimension: prompt_versoin",
        (
            ":2: explain.prompt_dimension: there is no dimension 'prompt_versoin'. "
            "Did you mean 'prompt_version'? Known: service, prompt,"
        ),
    ),
    "strata of explain": ("explain: {strata: [modle]}", ":1: explain.strata.0: there is no dimen"),
    "port of receive": (
        "receive:\n  listen: 127.0.0.1:99999",
        ":2: receive.listen: expected a port from 0 to 65535 (found '127.0.0.1:99999')",
    ),
    "port of metrics": (
        "metrics:\n  listen: 127.0.0.1:70000",
        ":2: metrics.listen: expected a port from 0 to 65535 (found '127.0.0.1:70000')",
    ),
    "address without a port": (
        "metrics:\n  listen: localhost",
        (
            ":2: metrics.listen: this does not fit; expected: Address of `/metrics` and "
            "`/reports/`, HOST:PORT (found 'localhost')"
        ),
    ),
    "one port for both": (
        "receive: {listen: '0.0.0.0:4400'}\nmetrics:\n  listen: localhost:4400",
        ":3: metrics.listen: receive.listen has this port already; expected one for each (found",
    ),
    "the port of metrics for receive": (
        "receive:\n  listen: 127.0.0.1:9464",
        ":2: receive.listen: metrics.listen has this port already; expected one for each (found",
    ),
    "buckets that fall": (
        "checks: {latency: }\nmetrics:\n  buckets:\n    latency: [5, 1, 1]",
        ":4: metrics.buckets.latency: expected numbers that rise (found [5, 1, 1])",
    ),
    "address of a trace": (
        "report:\n  trace_url: https://tempo.example/trace/{traceid}",
        (
            ":2: report.trace_url: expected {trace_id} in it, where the id of the trace goes "
            "(found 'https://tempo.example/trace/{traceid}'). Did you mean {trace_id} for "
            "{traceid}?"
        ),
    ),
    "address of every trace": (
        "report: {trace_url: 'https://tempo.example'}",
        ":1: report.trace_url: expected {trace_id} in it",
    ),
    "objective of what only measures": (
        "checks: {latency: }\nalerts:\n  objectives:\n    latency: 0.9",
        (
            ":4: alerts.objectives.latency: the check 'latency' only measures, so that nothing of "
            "it can pass; expected checks.latency.max_ms as well"
        ),
    ),
    "objective of tokens": (
        "checks: {used: {use: tokens}}\nalerts: {objectives: {used: 0.9}}",
        "expected checks.used.max_input or checks.used.max_output or checks.used.max_total as well",
    ),
    "time of a baseline": (
        "detect:\n  baseline: {since: soon, until: 2026-01-01}",
        (
            ":2: detect.baseline.since: expected a time such as 2026-12-01T08:00, or a day such as "
            "2026-12-01 (found 'soon')"
        ),
    ),
    "job": ("alerts: {job: 'a b'}", ":1: alerts.job: this does not fit; expected: Name of the"),
    "protocol": (
        "report: {otlp: {endpoint: 'a:1', protocol: gprc}}",
        ":1: report.otlp.protocol: expected 'grpc' or 'http'. Did you mean 'grpc'? (found 'gprc')",
    ),
    "text of a question": (
        "checklists: {tone: {questions: {kind: ''}}}",
        ":1: checklists.tone.questions.kind: expected a text of at least so many characters",
    ),
    "key of a question": (
        "checklists:\n  tone:\n    questions:\n      a: {text: Kind, wieght: 2}",
        (
            ":4: checklists.tone.questions.a.wieght: unknown key. Did you mean 'weight'? "
            "Known here: text, weight, required."
        ),
    ),
    "key of a checklist": (
        "checklists:\n  tone:\n    qestions: {a: Kind}",
        ":3: checklists.tone.qestions: unknown key. Did you mean 'questions'? Known here: ques",
    ),
    "number as a name": (
        "checks:\n  7: {use: latency}",
        ":2: checks.7: a key is text: put it into quotes (found 7)",
    ),
    "tab": ("checks:\n\tlatency: {}", ":2: this is not valid YAML: a tab stands here"),
    "ticks": ("wal:\n  tick_for: 10s", ":2: wal.tick_for: must be at least settle.idle"),
}


# Settings of a check that have no meaning: the check, and what is told of the key.
NONSENSE = {
    "{use: language, allowed: [en, english]}": (
        "allowed.1: 'english' is no language that is known; expected an ISO 639 code such as 'en'."
        " Did you mean 'en' (English)?"
    ),
    "{use: language, allowed: [germn]}": "Did you mean 'de' (German)?",
    "{use: language, allowed: [de-AT]}": "Did you mean 'de' (German)?",
    "{use: language, allowed: [EN]}": "Did you mean 'en' (English)?",
    "{use: language, allowed: [no]}": "allowed.0: YAML reads a bare word such as no as false: put",
    "{use: language, allowed: []}": "allowed: expected at least so many entries: 1 (found [])",
    "{use: language, min_confidence: 50}": "min_confidence: expected at most 1.0 (found 50)",
    "{use: language, min_letters: 0}": "min_letters: expected at least 1 (found 0)",
    "{use: language, min_letters: 1000}": "min_letters: expected at most 400 (found 1000)",
    "{use: latency, max_ms: -5}": "max_ms: expected more than 0.0 (found -5)",
    "{use: latency, max_ms: .inf}": "max_ms: expected a number that is finite (found inf)",
    "{use: time_to_first_token, max_ms: 0}": "max_ms: expected more than 0.0 (found 0)",
    "{use: cost, max_usd: -0.1}": "max_usd: expected at least 0.0 (found -0.1)",
    "{use: tokens, max_input: -1}": "max_input: expected at least 1 (found -1)",
    "{use: tokens, max_output: 0}": "max_output: expected at least 1 (found 0)",
    "{use: tokens, max_total: 1.5}": "max_total: expected a whole number (found 1.5)",
    "{use: contains, any: []}": "any: expected at least so many entries: 1 (found [])",
    "{use: contains, all: [a, '']}": "all.1: expected a text of at least so many characters: 1",
    "{use: contains, none: TODO}": "none: expected a list (found 'TODO')",
    "{use: refusal, phrases: ['']}": "phrases.0: expected a text of at least so many characters: 1",
    "{use: refusal, within: 0}": "within: expected at least 1 (found 0)",
    "{use: regex, pattern: '(a'}": (
        "pattern: this is no regular expression: unclosed group (found '(a')"
    ),
    "{use: regex, pattern: '(?=a)b'}": (
        "pattern: this is no regular expression: look-around, including look-ahead and "
        "look-behind, is not supported"
    ),
    "{use: regex, pattern: ''}": "pattern: expected a text of at least so many characters: 1",
    "{use: regex, pattern: a, expect: nomatch}": "expect: expected 'match' or 'no_match'. Did you",
    "{use: tool_loop, times: 1}": "times: expected at least 2 (found 1)",
    "{use: finish_reason, allowed: []}": "allowed: expected at least so many entries: 1",
    "{use: finish_reason, allowed: [stop, lenght]}": (
        "allowed.1: no model stops with 'lenght' here. Did you mean 'length'?"
    ),
    "{use: finish_reason, allowed: [end_turn]}": "Did you mean 'stop'?",
    "{use: finish_reason, allowed: [STOP]}": "Did you mean 'stop'?",
    "{use: json_valid, allow_fence: 1}": "allow_fence: expected true or false (found 1)",
    "{use: json_schema, schema: {properties: {a: {type: strnig}}}}": (
        "schema.properties.a.type: 'strnig' is no JSON Schema type. Did you mean 'string'?"
    ),
    "{use: json_schema, schema: objekt.json}": (
        "schema: objekt.json: type: 'objekt' is no JSON Schema type. Did you mean 'object'?"
    ),
    "{use: json_schema, schema: list.json}": "schema: list.json: expected keys and values (found",
    "{use: json_schema, schema: broken.json}": (
        "schema: broken.json:2: not JSON: expecting ',' delimiter (column 1)"
    ),
    "{use: json_schema, schema: broken.yaml}": (
        "schema: broken.yaml:1: this is not valid YAML: a second ':' in one line"
    ),
    '{use: json_schema, schema: "a\\0b"}': "schema: 'a\\x00b' is no path of a file",
    "{use: json_schema, schema: digits.json}": "schema: digits.json: cannot be read: too deep, or",
    "{use: json_schema, schema: deep.json}": "schema: deep.json: cannot be read: too deep, or with",
    "{use: json_schema, schema: objekt.jsn}": "Did you mean 'objekt.json'?",
    "{use: json_schema, schema: {type: [string, string]}}": (
        "schema.type: expected one of object, array, string, number, integer, boolean, null, or"
    ),
    "{use: json_schema, schema: {pattern: '('}}": "schema.pattern: '(' is no regular expression",
    "{use: json_schema, schema: {required: a}}": (
        'schema.required: this is no JSON Schema: "a" is not of type "array"'
    ),
    "{use: json_schema, schema: {$ref: '#/none'}}": (
        "schema: this is no JSON Schema: Pointer '/none' does not exist"
    ),
    "{use: mine:check, share: 2}": "share: expected at most 1.0 (found 2)",
    "{use: mine:check, either: [1]}": "either: expected a whole number (found [1])",
}


def test_words_that_must_and_must_not_be_there_are_told(evalspan: Evalspan, tmp_path: Path) -> None:
    config = "checks:\n  contains: {all: [my order], none: [sorry, order]}\n"
    (tmp_path / "my.yaml").write_text(config, encoding="utf-8")
    told = "my.yaml:2: checks.contains: no answer can pass: 'order' is in none, and all asks for it"
    assert evalspan("config", "check", "my.yaml").told == [told]


@pytest.mark.parametrize("check", NONSENSE)
def test_a_setting_of_a_check_without_a_meaning_is_told_in_one_line(
    check: str, evalspan: Evalspan, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from typing import Annotated\nfrom pydantic import Field\n"
        "Share = Annotated[float, Field(ge=0, le=1)]\n"
        "def check(span, *, share: Share = 1, either: int | str = 1): return True\n",
        encoding="utf-8",
    )
    (tmp_path / "objekt.json").write_text('{"type": "objekt"}', encoding="utf-8")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    (tmp_path / "broken.json").write_text('{"type": "object"\n"title": "a"}', encoding="utf-8")
    (tmp_path / "digits.json").write_text("7" * 5000, encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("type: object: a", encoding="utf-8")
    (tmp_path / "my.yaml").write_text(f"checks:\n  one: {check}\n", encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert (ran.code, ran.out, len(ran.told)) == (2, "", 1), ran.err
    assert ran.told[0].startswith("my.yaml:2: checks.one.")
    assert NONSENSE[check] in ran.told[0]


def test_each_wrong_entry_of_a_list_is_told_at_its_line(evalspan: Evalspan, tmp_path: Path) -> None:
    config = "checks:\n  language:\n    allowed:\n      - english\n      - de\n      - xx\n"
    (tmp_path / "my.yaml").write_text(config, encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert [line.split(":")[1] for line in ran.told] == ["4", "6"]


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


def test_what_does_not_go_together_is_told_at_once_with_all_the_rest(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    lines = (
        "dimensions:",
        "  service: {attribute: x}",
        "  my-team: {}",
        "checks: {latency: {max: 1}}",
        "checklists: {latency: {questions: {a: b}}}",
        "wal: {tick_for: 1s}",
        "views: {a: {filter: 'nothing = 1'}}",
        "detect: {minimum_effects: {status: 0.1}, cluster: team}",
        "optimize: {mutators: [rewrit]}",
    )
    (tmp_path / "my.yaml").write_text("\n".join(lines), encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert [line.split(":")[1] for line in ran.told] == list("2334567889"), ran.err


MODELS = {
    "a socket file": "receive: {listen: 'unix:/run/evalspan.sock'}\nmetrics: {listen: 'a:1'}",
    "any port for both": "receive: {listen: '127.0.0.1:0'}\nmetrics: {listen: '127.0.0.1:0'}",
    "one port of two hosts": "receive: {listen: 'a:4317'}\nmetrics: {listen: 'b:4317'}",
    "items of your own check": "checks: {own: {use: 'mine:check'}}\n"
    "detect: {minimum_effects: {own/any: 0.1}}",
    "an objective": "checks: {latency: {max_ms: 5}}\nalerts: {objectives: {latency: 0.9}}",
    "an anchor": "checks:\n  latency: &one {max_ms: 5}\n  more: {<<: *one, use: latency}",
}


@pytest.mark.parametrize("name", MODELS)
def test_what_goes_together_is_good(name: str, evalspan: Evalspan, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def check(span): return True", encoding="utf-8")
    (tmp_path / "my.yaml").write_text(MODELS[name], encoding="utf-8")
    ran = evalspan("config", "check", "my.yaml")
    assert (ran.code, ran.err) == (0, "")


def test_a_file_that_is_not_here_is_a_warning_with_its_line(
    evalspan: Evalspan, tmp_path: Path
) -> None:
    config = "checks: {status: }\ngrafana:\n  token_file: grafana.tokn\nreceive:\n"
    config += "  tls_certificate: a.pem\n  tls_key: here.pem\n"
    (tmp_path / "my.yaml").write_text(config, encoding="utf-8")
    for name in ("grafana.token", "here.pem"):
        (tmp_path / name).touch()
    ran = evalspan("config", "check", "my.yaml")
    assert (ran.code, ran.err) == (0, "")
    told = ran.out.splitlines()
    assert told[0] == (
        "my.yaml:3: grafana.token_file: warning: there is no such file here (found "
        "'grafana.tokn'). Did you mean 'grafana.token'?"
    )
    assert told[1].startswith("my.yaml:5: receive.tls_certificate: warning: there is no such file")
    assert told[2:] == ["my.yaml: good"]


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
