"""Whether the answer has the words it must have, and none that it must not."""

import polars as pl

from evalspan.evaluate.checks._limits import Words

MATCH = "role = 'llm'"


def contains(
    spans: pl.DataFrame,
    *,
    any: Words | None = None,  # noqa: A002 - reads well in the config
    all: Words | None = None,  # noqa: A002 - as any
    none: Words | None = None,
    ignore_case: bool = True,
) -> pl.DataFrame:
    """Pass if the answer has one of `any`, each of `all`, and nothing of `none`.

    No verdict where there is no answer.

    Example: `{use: contains, none: [lorem ipsum, TODO]}`
    """
    if not (any or all or none):
        msg = "give at least one of any, all and none"
        raise ValueError(msg)
    if never := next((n for n in none or () for term in all or () if n in term), None):
        msg = f"no answer can pass: {never!r} is in none, and all asks for it"
        raise ValueError(msg)
    text = pl.col("output_text").str.to_lowercase() if ignore_case else pl.col("output_text")
    problems = [
        pl.when(~_has(text, term, ignore_case=ignore_case)).then(pl.lit(f"{term!r} is missing"))
        for term in all or ()
    ]
    problems += [
        pl.when(_has(text, term, ignore_case=ignore_case)).then(pl.lit(f"{term!r} is there"))
        for term in none or ()
    ]
    if any:
        found = pl.any_horizontal(_has(text, term, ignore_case=ignore_case) for term in any)
        problems.append(pl.when(~found).then(pl.lit(f"none of {', '.join(any)} is there")))
    return spans.select(reason=pl.coalesce(problems), known=text.is_not_null()).select(
        passed=pl.when("known").then(pl.col("reason").is_null()), reason="reason"
    )


def _has(text: pl.Expr, term: str, *, ignore_case: bool) -> pl.Expr:
    return text.str.contains(term.lower() if ignore_case else term, literal=True)
