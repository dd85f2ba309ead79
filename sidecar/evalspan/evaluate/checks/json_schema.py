"""Whether the answer is JSON of the shape that was agreed."""

from typing import Annotated, Any

import jsonschema_rs
import polars as pl
from pydantic import AfterValidator

from evalspan.evaluate.checks._json import read
from evalspan.evaluate.checks._recursive import branches_into_itself
from evalspan.evaluate.checks._schema import sound

Answer = tuple[float | None, bool | None, str | None, str | None]
MATCH = "role = 'llm' AND output_text IS NOT NULL"
FILES = ("schema",)
LIBRARIES = ("jsonschema-rs",)
_SHOWN = 200
_MOST_MISTAKES = 100
# All mistakes are made before the first can be seen: a million of them in half a minute.
_COUNTED_CHARACTERS = 16_384
_MOST_CHARACTERS = 524_288
# Steps of a `pattern` with look-around or back-references, per text; 10,000 take 0.3 ms.
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000)


def json_schema(
    spans: pl.DataFrame,
    *,
    schema: Annotated[dict[str, Any], AfterValidator(sound)],
    allow_fence: bool = False,
) -> pl.DataFrame:
    """Pass if the answer is JSON and fits the JSON Schema. Value: mistakes, at most 100.

    Of a schema whose choices (`anyOf`, `oneOf`) lead back to themselves it is only told whether
    the answer fits: to say where it does not takes time without bound.
    The mistakes of an answer of more than 16 KiB are not counted; one of more than 512 KiB,
    or on which a `pattern` of the schema takes too long, has no verdict.

    `schema`: path of a JSON or YAML file from the config's folder, or the schema
    itself. Nothing is fetched from the network. The reason says where in the answer
    the first mistake is, the evidence shows it.

    Example: `{use: json_schema, schema: schemas/product.json}`
    """
    validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=_PATTERNS)
    told = not branches_into_itself(schema)
    answers = [
        _judge(validator, text, allow_fence=allow_fence, told=told) for text in spans["output_text"]
    ]
    kinds = {"value": pl.Float64, "passed": pl.Boolean, "reason": pl.String, "evidence": pl.String}
    return pl.DataFrame(answers, schema=kinds, orient="row")


def _judge(
    validator: Any,  # noqa: ANN401 - a jsonschema_rs validator
    text: str | None,
    *,
    allow_fence: bool,
    told: bool,
) -> Answer:
    if text is None:
        return None, None, None, None
    if len(text) > _MOST_CHARACTERS:
        return None, None, f"too long to be checked: {len(text)} characters", None
    try:
        answer = read(text, allow_fence=allow_fence)
    except ValueError as error:
        return None, False, f"not JSON: {error}", text[:_SHOWN]
    if not told:
        fits = validator.is_valid(answer)
        shown = (None, None) if fits else ("$: the answer does not fit the schema", text[:_SHOWN])
        return 0 if fits else None, fits, *shown
    try:
        validator.validate(answer)
    except jsonschema_rs.ValidationError as error:
        return _mistake(validator, answer, error, counted=len(text) <= _COUNTED_CHARACTERS)
    return 0, True, None, None


def _mistake(
    validator: Any,  # noqa: ANN401 - as above
    answer: Any,  # noqa: ANN401 - any JSON value
    first: jsonschema_rs.ValidationError,
    *,
    counted: bool,
) -> Answer:
    path = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first.instance_path)
    reason, shown = f"{path}: {first.message}"[:1000], repr(first.instance)[:_SHOWN]
    if isinstance(first.kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded):
        return None, None, reason, shown
    mistakes = min(len(list(validator.iter_errors(answer))), _MOST_MISTAKES) if counted else None
    return mistakes, False, reason, shown
