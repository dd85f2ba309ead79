"""A scripted world for the tests: answers are a function of prompt and case."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from evalspan import model
from evalspan.optimize import Case, Output, Powers, Proposal, SearchCases

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPANS = pl.DataFrame(model.SPANS.empty()).schema
SCORES = pl.DataFrame(model.SCORES.empty()).schema
CASES = pl.DataFrame(model.CASES.empty()).schema


def unit(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def cases(search: int, holdout: int, *, slices: int = 1) -> pl.DataFrame:
    """CASES rows: page N of customer N mod `slices`."""
    rows = [
        {
            "dataset": "shop",
            "case_id": f"case{number:04}",
            "created_time": NOW,
            "input_messages": '[{"role":"user","parts":[{"type":"text","content":"page '
            f'{number}"}}]}}]',
            "output": "broken",
            "failed": ["form"],
            "split": "search" if number < search else "holdout",
            "slice": f'{{"customer": "c{number % slices}"}}',
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
        }
        for number in range(search + holdout)
    ]
    return pl.DataFrame(rows, schema=CASES)


async def shop(prompt: str, *, case: Case) -> Output:
    """Form holds with RULE; ENGLISH breaks the language of one half; SLOW takes more tokens."""
    form = "RULE" in prompt or unit(f"form{case.case_id}") < 0.5
    language = "ENGLISH" not in prompt or unit(f"language{case.case_id}") < 0.5
    cut = "SMALL" in prompt and case.slice.get("customer") == "c0"
    words = [f"form={form and not cut}", f"language={language}"]
    tokens = 100 if "SLOW" in prompt else 10
    return Output(" ".join(words), tokens, tokens, duration_ms=5.0)


def score(spans: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "case_id": row["case_id"],
            "check": check,
            "verdict": "pass" if f"{check}=True" in row["output_text"] else "fail",
            "reason": f"{check} is not kept",
        }
        for row in spans.iter_rows(named=True)
        for check in ("form", "language")
    ]
    return pl.DataFrame(rows)


POWERS = Powers(score=score, target=shop)


class Scripted:
    """A mutator that proposes fixed sentences and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[SearchCases] = []
        self.sentences: tuple[str, ...] = ("RULE.",)

    def __call__(self, prompt: str, search: SearchCases) -> list[Proposal]:
        self.seen.append(search)
        return [Proposal(f"{prompt}\n{text}", "because") for text in self.sentences]


SCRIPT = Scripted()


def scripted(prompt: str, *, search: SearchCases) -> list[Proposal]:
    """Propose what the test wrote."""
    return SCRIPT(prompt, search)


def broken(prompt: str, *, search: SearchCases) -> list[Proposal]:
    """Raise."""
    raise RuntimeError(prompt, search.check)


def span(number: int, **columns: object) -> dict[str, Any]:
    """A row of SPANS."""
    return {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "content": number,
        "start_time": NOW + timedelta(seconds=number),
        "role": "llm",
        "input_text": f"page {number}",
        "output_text": "out",
        "received_time": NOW,
        "segment": 1,
        **columns,
    }


def verdict(number: int, check: str, word: str | None, **columns: object) -> dict[str, Any]:
    """A row of SCORES."""
    return {
        "time": NOW,
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "check": check,
        "attempt": 1,
        "verdict": word,
        "segment": 1,
        **columns,
    }
