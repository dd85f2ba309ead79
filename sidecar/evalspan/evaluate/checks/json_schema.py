"""Whether the answer is JSON of the shape that was agreed."""

from itertools import islice
from typing import Any

import jsonschema_rs
import polars as pl

from evalspan.evaluate.checks._json import read

MATCH = "role = 'llm' AND output_text IS NOT NULL"
FILES = ("schema",)
LIBRARIES = ("jsonschema-rs",)
_SHOWN = 200
_MOST_MISTAKES = 100


def json_schema(
    spans: pl.DataFrame, *, schema: dict[str, Any], allow_fence: bool = False
) -> pl.DataFrame:
    """Pass if the answer is JSON and fits the JSON Schema. Value: mistakes, at most 100.

    `schema`: path of a JSON or YAML file from the config's folder, or the schema
    itself. Nothing is fetched from the network. The reason says where in the answer
    the first mistake is, the evidence shows it.

    Example: `{use: json_schema, schema: schemas/product.json}`
    """
    validator = jsonschema_rs.validator_for(schema, offline=True)
    answers = [_judge(validator, text, allow_fence=allow_fence) for text in spans["output_text"]]
    kinds = {"value": pl.Float64, "passed": pl.Boolean, "reason": pl.String, "evidence": pl.String}
    return pl.DataFrame(answers, schema=kinds, orient="row")


def _judge(
    validator: Any,  # noqa: ANN401 - a jsonschema_rs validator
    text: str | None,
    *,
    allow_fence: bool,
) -> tuple[float | None, bool | None, str | None, str | None]:
    if text is None:
        return None, None, None, None
    try:
        answer = read(text, allow_fence=allow_fence)
    except ValueError as error:
        return None, False, f"not JSON: {error}", text[:_SHOWN]
    if validator.is_valid(answer):
        return 0, True, None, None
    mistakes = list(islice(validator.iter_errors(answer), _MOST_MISTAKES))
    first = mistakes[0]
    path = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first.instance_path)
    return len(mistakes), False, f"{path}: {first.message}"[:1000], repr(first.instance)[:_SHOWN]
