"""What was made of each check: verdicts, values and errors, and what of it nobody would hear of.

Only passed or failed is compared over time; a number without a verdict and an evaluation that
broke are in no rate.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

_MOST_LETTERS: Final = 120

Row = Mapping[str, Any]


def tally(scores: pl.LazyFrame, /, **keys: pl.Expr) -> list[dict[str, Any]]:
    """Count SCORES by check, item and `keys`, in their order.

    `n` verdicts, `passed` of them, `values` and their `mean_value`, `errors` and the
    `commonest_error` of them. What was skipped is in none.
    """
    return (
        scores.filter(pl.col("skipped").is_null())
        .group_by("check", "item", *(value.alias(name) for name, value in keys.items()))
        .agg(
            n=pl.col("verdict").count(),
            passed=(pl.col("verdict") == "pass").sum(),
            values=pl.col("value").count(),
            mean_value=pl.col("value").mean(),
            errors=pl.col("error").count(),
            commonest_error=pl.col("error").drop_nulls().mode().sort().first(),
        )
        .sort("check", "item", *keys)
        .collect()
        .to_dicts()
    )


def errors_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return check, number of errors and the commonest of them, for checks that have some."""
    texts: dict[str, Counter[str]] = {}
    for row in rows:
        if row["errors"]:
            texts.setdefault(row["check"], Counter())[row["commonest_error"]] += row["errors"]
    return [
        {"check": check, "errors": found.total(), "mostly": found.most_common(1)[0][0]}
        for check, found in sorted(texts.items())
    ]


def told_errors(found: Row) -> str:
    """`816 errors, mostly: AttributeError: …`, in one short line."""
    text = " ".join(found["mostly"].split())
    cut = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
    return f"{found['errors']:,} error{'s' * (found['errors'] != 1)}, mostly: {cut}"


def not_compared(rows: Sequence[Row]) -> list[str]:
    """Say which checks give no verdict that could be compared, and why."""
    heard = {row["check"] for row in rows if row["n"]}
    notes = [
        f"{_name(row)}: {row['values']:,} value{'s' * (row['values'] != 1)} and no verdict; only "
        "passed/failed is compared. Return Verdict(passed=…, value=…) to have it watched."
        for row in rows
        if row["values"] and not row["n"]
    ]
    broken = [found for found in errors_of(rows) if found["check"] not in heard]
    return [*notes, *(f"{f['check']}: no verdict at all, {told_errors(f)}" for f in broken)]


def _name(row: Row) -> str:
    return f"{row['check']}/{row['item']}" if row["item"] else str(row["check"])
