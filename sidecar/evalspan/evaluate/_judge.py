"""Ask a model the questions of a checklist about each span, and believe only what it can show."""

import asyncio
import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from evalspan import model
from evalspan.evaluate._choice import Choice, Chooser, Count, Evaluated, count
from evalspan.evaluate._frame import complete
from evalspan.evaluate._questions import SYSTEM, Checklist, parts, tool, user_text
from evalspan.evaluate._scores import table
from evalspan.evaluate._settings import Question
from evalspan.evaluate._verdicts import SCHEMA, Line, clean
from evalspan.evaluate._views import span_views
from evalspan.llm import Answer, Ask, LLMError
from evalspan.plugin import SpanView

_VERDICTS: Final = {"yes": True, "no": False, "unknown": None}


def expect(
    spans: pl.DataFrame, checklist: Checklist, *, dimensions: Sequence[str] = ()
) -> list[Count]:
    """Return for the ledger what a judge will have to do with these settled spans.

    How many are expected and skipped by reason; the rest is pending until `judge` answered.
    """
    choice = _choose(complete(spans, dimensions), checklist)
    subject = f"check:{checklist.name}"
    lines = [
        Count(subject, "expected", "", choice.expected),
        *(Count(subject, "skipped", why, number) for why, number in choice.skipped.items()),
    ]
    return [line for line in lines if line.number]


def _choose(frame: pl.DataFrame, checklist: Checklist) -> Choice:
    return Chooser(frame, frame.height).choose(checklist)


async def judge(
    spans: pl.DataFrame,
    checklist: Checklist,
    ask: Ask,
    *,
    dimensions: Sequence[str] = (),
    segment: int = 0,
    evaluated_time: datetime | None = None,
    concurrency: int = 8,
) -> Evaluated:
    """Return a SCORES row per question and span (yes passes), and one for the whole (item "").

    `spans`: a settled frame, or any frame with some columns of SPANS. One call per
    span, at most `concurrency` at a time. A yes or no without a quote that stands in
    the span is no verdict. The whole: value is the weighted share of yes among yes and
    no; it passes if every required question is yes, fails if one is no, and has no
    verdict if one is unknown or none is required. `cost_usd` stands on its row.
    """
    frame = complete(spans, dimensions)
    choice = _choose(frame, checklist)
    rows = [row for row, chosen in enumerate(choice.rows.tolist()) if chosen]
    views = span_views(frame, dimensions)
    limit = asyncio.Semaphore(concurrency)

    async def one(row: int) -> tuple[list[Line], float | None]:
        if choice.problem:
            return _all_failed(checklist, choice.problem), None
        async with limit:
            return await _ask_about(views[row], checklist, ask)

    answers = await asyncio.gather(*(one(row) for row in rows))
    flat = [
        (row, *line, cost if line[0] == "" else None)
        for row, (found, cost) in zip(rows, answers, strict=True)
        for line in found
    ]
    verdicts = pl.DataFrame(flat, schema={**SCHEMA, "cost_usd": pl.Float64()}, orient="row")
    counts: list[Count] = count(checklist.name, choice, verdicts)
    if verdicts.is_empty():
        return Evaluated(model.SCORES.empty(), counts)
    labelled = verdicts.with_columns(
        check=pl.lit(checklist.name),
        revision=pl.lit(checklist.revision),
        evaluator=pl.lit("judge"),
        weight=pl.lit(1 / checklist.sample),
    )
    when = evaluated_time or datetime.now(UTC)
    scores = table(labelled, frame, dimensions, segment=segment, evaluated_time=when)
    return Evaluated(scores, counts)


async def _ask_about(
    span: SpanView, checklist: Checklist, ask: Ask
) -> tuple[list[Line], float | None]:
    """Return the lines on one span and what the call cost."""
    try:
        answer: Answer = await ask(
            system=SYSTEM,
            user=user_text(checklist.questions, span),
            tool=tool(checklist.questions),
            model=checklist.model,
            max_tokens=checklist.max_tokens,
        )
    except LLMError as error:
        return _all_failed(checklist, f"LLMError: {error}"), None
    given = answer.input.get("answers")
    if not isinstance(given, list):
        return _all_failed(checklist, "the judge gave no list of answers"), answer.cost_usd
    texts = [_squeeze(text) for text in parts(span).values()]
    return _lines(given, checklist, texts), answer.cost_usd


def _all_failed(checklist: Checklist, problem: str) -> list[Line]:
    return [_failed(item, problem) for item in (*checklist.questions, "")]


def _failed(item: str, problem: str) -> Line:
    return (item, None, None, None, None, clean(problem))


def _lines(given: list[Any], checklist: Checklist, texts: list[str]) -> list[Line]:
    """Match answers to questions; one line per question and one for the whole."""
    found: dict[str, list[Mapping[str, Any]]] = {key: [] for key in checklist.questions}
    strange = 0
    for answer in given:
        key = answer.get("question") if isinstance(answer, Mapping) else None
        if isinstance(key, str) and key in found:
            found[key].append(answer)
        else:
            strange += 1
    lines = [_line(key, answers, checklist, texts) for key, answers in found.items()]
    return [*lines, _whole(lines, checklist.questions, strange)]


def _line(
    key: str, answers: list[Mapping[str, Any]], checklist: Checklist, texts: list[str]
) -> Line:
    if len(answers) != 1:
        how_often = "did not answer it" if not answers else f"answered it {len(answers)} times"
        return _failed(key, f"the judge {how_often}")
    said, quote = answers[0].get("answer"), answers[0].get("quote")
    if not isinstance(said, str) or said not in _VERDICTS:
        return _failed(key, f"the judge answered {said!r} and not yes, no or unknown")
    passed, reason = _VERDICTS[said], f"the judge says {said}"
    quote = quote if isinstance(quote, str) and quote.strip() else None
    if passed is not None and checklist.evidence and not _stands(quote, texts):
        missing = "without a quote" if quote is None else "with a quote that is not in the span"
        return (key, None, None, f"{reason} {missing}", None, None)
    return (key, None, passed, reason, None if quote is None else clean(quote), None)


def _stands(quote: str | None, texts: list[str]) -> bool:
    """Tell whether the quote is in one of the texts, white space and XML entities aside."""
    if quote is None:
        return False
    # A quote of blanks, or of entities that are some, would stand in everything.
    forms = {_squeeze(quote), _squeeze(html.unescape(quote))} - {""}
    return any(form in text for form in forms for text in texts)


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _whole(lines: list[Line], questions: Mapping[str, Question], strange: int) -> Line:
    """Return the line of the checklist as a whole."""
    failed = sum(line[5] is not None for line in lines)
    if failed or strange:
        problems = [f"{failed} questions without a usable answer"] if failed else []
        problems += [f"{strange} answers to no question of the checklist"] if strange else []
        return _failed("", ", ".join(problems))
    passed = {line[0]: line[2] for line in lines}
    decided = {key: questions[key].weight for key, answer in passed.items() if answer is not None}
    total = sum(decided.values())
    value = sum(w for key, w in decided.items() if passed[key]) / total if total else None
    required = [passed[key] for key, question in questions.items() if question.required]
    if False in required:
        verdict: bool | None = False
    else:
        verdict = None if None in required or not required else True
    yes, no = (sum(answer is wanted for answer in passed.values()) for wanted in (True, False))
    reason = f"{yes} yes, {no} no, {len(passed) - yes - no} unknown"
    return ("", value, verdict, reason, None, None)
