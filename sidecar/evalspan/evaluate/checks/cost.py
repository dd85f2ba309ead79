"""What the call cost."""

import polars as pl

from evalspan.evaluate._prices import Prices
from evalspan.evaluate.checks._limits import Dollars

MATCH = "role = 'llm'"
BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)


def cost(spans: pl.DataFrame, *, prices: Prices, max_usd: Dollars | None = None) -> pl.DataFrame:
    """Pass if the call cost at most `max_usd` US dollars. Value: US dollars.

    The price comes from your own table, else the public list prices, else what the
    app reported itself. Without `max_usd` it only measures. No verdict where model
    or tokens are not known; the reason says which.

    Example: `{use: cost, max_usd: 0.05}`
    """
    reported = pl.when(pl.col("reported_cost_usd") > 0).then("reported_cost_usd")
    value, limit = pl.coalesce("cost", reported), pl.lit(max_usd, pl.Float64)
    model = pl.coalesce("response_model", "request_model")
    return spans.with_columns(prices.cost(spans).alias("cost")).select(
        value=value,
        passed=value <= limit,
        reason=pl.when(value > limit)
        .then(pl.format("{} USD, limit {} USD", value.round(6), limit))
        .when(value.is_not_null())
        .then(None)
        .when(model.is_null())
        .then(pl.lit("the model is not known"))
        .when(pl.col("input_tokens").is_null() | pl.col("output_tokens").is_null())
        .then(pl.lit("the tokens are not known"))
        .otherwise(pl.format("no price is known for {}", model)),
    )
