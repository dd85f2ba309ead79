"""How many tokens the call used."""

import polars as pl

from evalspan.evaluate.checks._limits import AtLeastOne

MATCH = "role = 'llm'"
BUCKETS = (10, 100, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000)


def tokens(
    spans: pl.DataFrame,
    *,
    max_input: AtLeastOne | None = None,
    max_output: AtLeastOne | None = None,
    max_total: AtLeastOne | None = None,
) -> pl.DataFrame:
    """Pass if no given limit is exceeded. Value: input and output tokens together.

    Input tokens include cached ones. Without limits it only measures. No verdict
    where a limited number is not known, unless another limit is exceeded already.

    Example: `{use: tokens, max_output: 500}`
    """
    total = pl.col("input_tokens") + pl.col("output_tokens")
    sides = {
        "input": (pl.col("input_tokens"), max_input),
        "output": (pl.col("output_tokens"), max_output),
        "total": (total, max_total),
    }
    limited = {name: (used, most) for name, (used, most) in sides.items() if most is not None}
    if not limited:
        return spans.select(value=total.cast(pl.Float64))
    return spans.select(
        value=total.cast(pl.Float64),
        passed=pl.all_horizontal(used <= most for used, most in limited.values()),
        reason=pl.coalesce(
            pl.when(used > most).then(pl.format(f"{{}} {name} tokens, limit {most}", used))
            for name, (used, most) in limited.items()
        ),
    )
