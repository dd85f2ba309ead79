"""What a call cost: the user's own price table first, then the public list prices."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import polars as pl
from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from evalspan.evaluate._settings import ModelPrice

_MILLION: Final = 1_000_000
_FIELDS: Final = ("input", "output", "cache_read", "cache_write")
_LISTED: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
# Providers whose name in the conventions is not the one of the price list.
_PROVIDERS: Final = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


class Prices:
    """Prices of models. Also a `Price` in the sense of `evalspan.llm`."""

    def __init__(self, table: Mapping[str, ModelPrice] | None = None) -> None:
        """Take the user's table: exact model name → prices."""
        self._table = dict(table or {})
        self._rates: dict[tuple[str | None, str, datetime | None], dict[str, float] | None] = {}

    @property
    def revision(self) -> str:
        """Hash of what decides a price."""
        own = {name: price.model_dump() for name, price in self._table.items()}
        text = json.dumps([version("genai-prices"), own], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def __call__(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """Return the price of one call in US dollars; None if the model is not known."""
        frame = pl.DataFrame(
            {"request_model": [model], "input_tokens": [input_tokens]},
        ).with_columns(pl.lit(output_tokens).alias("output_tokens"))
        found = self.cost(frame)[0]
        return None if found is None else float(found)

    def cost(self, spans: pl.DataFrame) -> pl.Series:
        """Return US dollars per span; null where model or tokens are not known.

        Reads response_model, request_model, provider, start_time and the four token
        columns, as far as they are there. Input tokens include cached ones.
        """
        spans = _with(spans)
        models = spans.select("provider", "response_model", "request_model", "half_hour").unique()
        rates = pl.DataFrame(
            [{**row, **(self._rate(row) or {})} for row in models.iter_rows(named=True)],
            schema={**models.schema, **dict.fromkeys((*_FIELDS, "tier"), pl.Float64)},
            infer_schema_length=None,
        )
        priced = spans.join(
            rates, on=models.columns, how="left", nulls_equal=True, maintain_order="left"
        ).select(_linear().alias("cost"), beyond=pl.col("input_tokens") > pl.col("tier"))
        exact = priced["beyond"].fill_null(value=False).arg_true()
        cost = priced["cost"]
        if len(exact):
            cost = cost.scatter(exact, [_exact(row) for row in spans[exact].iter_rows(named=True)])
        return cost

    def _rate(self, row: Mapping[str, Any]) -> dict[str, float] | None:
        """Return dollars per token and from how many input tokens on they do not hold."""
        for model in (row["response_model"], row["request_model"]):
            if model is None:
                continue
            if model in self._table:
                return _own(self._table[model])
            key = (row["provider"], model, row["half_hour"])
            if key not in self._rates:
                if len(self._rates) > 10_000:  # noqa: PLR2004 - bounds a sender's made-up names
                    self._rates.clear()
                self._rates[key] = _listed(*key)
            if self._rates[key] is not None:
                return self._rates[key]
        return None


def _with(spans: pl.DataFrame) -> pl.DataFrame:
    texts = ("provider", "response_model", "request_model")
    empty = {**dict.fromkeys(texts, pl.String), **dict.fromkeys(_TOKENS, pl.Int64)}
    # prices by the hour of the day change at whole and half hours
    time = (
        pl.col("start_time").dt.truncate("30m")
        if "start_time" in spans.columns
        else pl.lit(None, pl.Datetime("us", "UTC"))
    )
    return spans.select(
        *(
            pl.col(name).cast(kind) if name in spans.columns else pl.lit(None, kind).alias(name)
            for name, kind in empty.items()
        ),
        time.alias("half_hour"),
    )


def _linear() -> pl.Expr:
    read, write = (
        pl.col("cache_read_tokens").fill_null(0),
        pl.col("cache_write_tokens").fill_null(0),
    )
    plain = (pl.col("input_tokens") - read - write).clip(0)
    return (
        plain * pl.col("input")
        + pl.col("output_tokens") * pl.col("output")
        + read * pl.col("cache_read")
        + write * pl.col("cache_write")
    )


def _own(price: ModelPrice) -> dict[str, float]:
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    rates = {
        "input": price.input,
        "output": price.output,
        "cache_read": read,
        "cache_write": write,
    }
    return {name: rate / _MILLION for name, rate in rates.items()}


def _calculate(provider: str | None, model: str, when: datetime | None, usage: Usage) -> Any | None:  # noqa: ANN401 - a PriceCalculation
    """Ask the list; null if it does not know the model, of this provider or of any."""
    wanted = _PROVIDERS.get(provider or "", provider)
    for candidate in (wanted, None) if wanted else (None,):
        try:
            return calc_price(usage, model, provider_id=candidate, genai_request_timestamp=when)
        except (LookupError, ValueError):
            continue
    return None


def _listed(provider: str | None, model: str, when: datetime | None) -> dict[str, float] | None:
    found = _calculate(provider, model, when, Usage(input_tokens=1, output_tokens=1))
    if found is None:
        return None
    rates, tiers = {}, []
    for name, attribute in _LISTED.items():
        price = getattr(found.model_price, attribute, None)
        if isinstance(price, TieredPrices):
            tiers += [float(tier.start) for tier in price.tiers]
            price = price.base
        rates[name] = None if price is None else float(price) / _MILLION
    base = rates["input"]
    if base is None:
        return None
    full = {name: base if rate is None else rate for name, rate in rates.items()}
    full["output"] = rates["output"] or 0.0
    return {**full, "tier": min(tiers)} if tiers else full


def _exact(row: Mapping[str, Any]) -> float | None:
    usage = {name: row[name] for name in _TOKENS if row[name] is not None}
    for model in (row["response_model"], row["request_model"]):
        if model is not None:
            found = _calculate(row["provider"], model, row["half_hour"], Usage(**usage))
            if found is not None:
                return float(found.total_price)
    return None
