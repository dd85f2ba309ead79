"""Targets against the stand-in model server, and the whole way with real checks."""

import sys
from pathlib import Path

import polars as pl
import pytest
from optimize_world import CASES, NOW, cases

from evalspan.evaluate import CheckSettings, build
from evalspan.llm import Anthropic, LLMSettings
from evalspan.optimize import (
    MutatorSettings,
    OptimizeError,
    OptimizeSettings,
    Powers,
    TargetSettings,
    optimize,
)
from evalspan.testing import ModelServer

SCHEMA = {
    "type": "object",
    "required": ["name", "offers"],
    "properties": {
        "offers": {
            "type": "object",
            "required": ["price"],
            "properties": {"price": {"type": "number"}},
        }
    },
}
PROMPT = "You extract schema.org objects.\n- Answer with JSON only.\n- Be exact."
EVALUATOR = build(
    {"json_schema": CheckSettings.model_validate({"schema": SCHEMA}), "refusal": CheckSettings()},
    folder=Path(__file__).parent,
    dimensions=["customer"],
)


def score(spans: pl.DataFrame) -> pl.DataFrame:
    """The evaluator of production over replayed answers."""
    scores = pl.DataFrame(EVALUATOR.evaluate(spans).scores)
    names = spans.select("trace_id", "span_id", "case_id")
    return scores.join(names, on=["trace_id", "span_id"])


def pages(search: int, holdout: int) -> pl.DataFrame:
    """Pages of globex, whose prices are hard to read."""
    text = (
        '[{{"role":"user","parts":[{{"type":"text","content":'
        '"https://globex.example/product/{0}\\n# Kettle {0}\\nArticle no. K-{0}\\n'
        'Price: 1.{0},00 EUR\\nAbout: A kettle."}}]}}]'
    )
    rows = cases(search, holdout).to_dicts()
    rows = [{**row, "input_messages": text.format(number + 100)} for number, row in enumerate(rows)]
    return pl.DataFrame(rows, schema=CASES)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def settings(use: str, url: str, **extra: object) -> OptimizeSettings:
    target = TargetSettings(use=use, base_url=url, model="stand-in", max_retries=0)
    return OptimizeSettings(rounds=2, target=target, **extra)  # type: ignore[arg-type]


async def test_the_openai_target_and_the_rule_make_prices_numbers() -> None:
    with ModelServer() as server:
        chosen = settings("openai", f"{server.url}/v1", mutators=["add_missing_rule"])
        done = await optimize(
            pages(80, 80), PROMPT, "json_schema", chosen, Powers(score=score), now=NOW
        )
    found = done.outcome
    assert found.verdict == "accepted"
    assert 'Write "offers.price" as a JSON number' in found.accepted.prompt
    row = found.accepted.judgement.checks[0]
    assert row.before < 0.75
    assert row.after > 0.9
    assert found.spent_input_tokens > 0
    assert done.trials["error"].null_count() == done.trials.height


async def test_the_anthropic_target_and_a_rewriter_that_sometimes_harms() -> None:
    with ModelServer() as server:
        ask = Anthropic(LLMSettings(base_url=server.url))
        powers = Powers(score=score, ask=ask, price=lambda _model, used, made: (used + made) / 1e6)
        chosen = settings("anthropic", server.url, mutators=["rewrite"])
        done = await optimize(
            pages(60, 60), PROMPT, "json_schema", chosen, powers, now=NOW, finding="prices"
        )
    found = done.outcome
    assert found.errors == ()
    assert found.accepted.mutator == "rewrite"
    assert "price" in found.accepted.diff
    assert found.spent_cost_usd > 0
    assert found.proposals >= 2


async def test_a_function_of_the_user_is_a_target() -> None:
    powers = Powers(score=score_words, folder=Path(__file__).parent)
    target = TargetSettings(use="optimize_world:shop")
    mutators = (MutatorSettings(use="add_missing_rule"),)
    chosen = OptimizeSettings(rounds=1, target=target, mutators=mutators)
    found = (await optimize(cases(20, 20), "Answer.", "form", chosen, powers, now=NOW)).outcome
    assert found.replays == 20 * 2 + 20 * 2
    assert found.verdict == "rejected"


def score_words(spans: pl.DataFrame) -> pl.DataFrame:
    passed = pl.col("output_text").str.contains("form=True")
    return spans.select(
        "case_id",
        check=pl.lit("form"),
        verdict=pl.when(passed).then(pl.lit("pass")).otherwise(pl.lit("fail")),
        reason=pl.lit("form is missing"),
    )


async def test_a_server_that_answers_nothing_is_an_error_that_says_so() -> None:
    chosen = settings("openai", "http://127.0.0.1:1/v1", mutators=["add_missing_rule"])
    with pytest.raises(OptimizeError) as told:
        await optimize(pages(4, 4), PROMPT, "json_schema", chosen, Powers(score=score), now=NOW)
    assert str(told.value) == (
        "All 4 calls to stand-in failed (APIConnectionError: Connection error.), so nothing was "
        "tried. Check the key and `optimize.target`."
    )


@pytest.mark.parametrize("use", ["openai", "anthropic"])
async def test_a_missing_key_or_package_is_said_clearly(
    use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(use, "http://127.0.0.1:1", mutators=["add_missing_rule"])
    monkeypatch.delenv(f"{use.upper()}_API_KEY")
    with pytest.raises(OptimizeError) as told:
        await optimize(pages(2, 2), PROMPT, "x", chosen, Powers(score=score), now=NOW)
    needed = f"the target {use} needs an API key: export {use.upper()}_API_KEY"
    other = (
        ". Or say what else replays cases: `optimize: {target: {use: openai, model: stand-in}}` "
        "and export OPENAI_API_KEY"
    )
    assert str(told.value) == needed + (other if use == "anthropic" else "")
    nameless = chosen.model_copy(update={"target": TargetSettings(use=use)})
    with pytest.raises(OptimizeError, match=r"needs a model: set `optimize\.target\.model`"):
        await optimize(pages(2, 2), PROMPT, "x", nameless, Powers(score=score), now=NOW)
    if use == "openai":
        monkeypatch.setitem(sys.modules, "openai", None)
        with pytest.raises(OptimizeError, match=r"pip install 'evalspan\[openai\]'"):
            await optimize(pages(2, 2), PROMPT, "x", chosen, Powers(score=score), now=NOW)
