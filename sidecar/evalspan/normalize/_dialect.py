"""What a dialect is: a table from attribute keys to columns of SPANS."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from evalspan import plugin
from evalspan.model import ROLES

_PACKAGE: Final = "evalspan.normalize.dialects"
# Spans that repeat the usage of the calls below them do not count it again.
CALLS: Final = ("llm", "embedding")


@dataclass(frozen=True, slots=True)
class To:
    """A column that an attribute fills only on spans of some roles, or in another unit."""

    column: str
    roles: tuple[str, ...] = ROLES
    scale: float | None = None


SECONDS_TO_FIRST_TOKEN: Final = To("time_to_first_token_ms", CALLS, scale=1e3)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vendor's naming of GenAI attributes.

    `rank` orders the dialects: of those that claim a span the lowest names it.
    A span is claimed by one of its keys (`keys`, whole, or `prefixes`) or by
    its scope (`scopes`, whole or as a prefix that ends in `.` or `*`).

    `columns` maps keys to columns; where several keys fill one column the
    earlier wins. Keys of the conventions (`otel`) come after a dialect's own.
    `roles` maps keys to {value: role}, the first key that tells it wins;
    `implied` gives the role that the mere presence of a key tells.
    `clean` maps the text of a column to the word of the contract.
    `derive` reads what no single key holds: it is given the scalar attributes of
    one span whose keys begin with one of `derive_prefixes`, and returns columns,
    which fill those that are still empty; messages as lists. It runs for spans
    of `derive_roles` that have such keys.
    `first_token_events` are span events that mark the first piece of a stream.
    """

    name: str
    rank: int
    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    columns: Mapping[str, str | To] = field(default_factory=dict)
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    implied: Mapping[str, str] = field(default_factory=dict)
    derive: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    derive_prefixes: tuple[str, ...] = ()
    derive_roles: tuple[str, ...] = CALLS
    first_token_events: tuple[str, ...] = ()


def words(**roles: str) -> dict[str, str]:
    """Return {word: role} from the words for each role, written one after the other."""
    return {word: role for role, found in roles.items() for word in found.split()}


def on_calls(**columns: Sequence[str]) -> dict[str, To]:
    """Return {key: column} of columns that are filled on LLM and embedding spans only."""
    return {key: To(column, CALLS) for column, keys in columns.items() for key in keys}


# Vendors whose names are known but which have no table yet: they keep what the
# keys of the conventions give.
_NAMED: Final = (
    Dialect(
        "langfuse",
        20,
        prefixes=("langfuse.",),
        scopes=("langfuse-sdk",),
        columns={
            "langfuse.observation.prompt.name": "prompt_name",
            "langfuse.observation.prompt.version": "prompt_version",
        },
    ),
    Dialect("langsmith", 30, keys=("langsmith.span.kind",), scopes=("langsmith",)),
    Dialect("mlflow", 40, keys=("mlflow.spanType",)),
    Dialect("google_adk", 60, scopes=("gcp.vertex.agent",)),
    Dialect(
        "strands",
        70,
        scopes=("strands.telemetry.tracer",),
        columns={"gen_ai.server.time_to_first_token": To("time_to_first_token_ms", CALLS)},
    ),
    Dialect(
        "pydantic_ai",
        80,
        keys=("logfire.msg",),
        scopes=("pydantic-ai",),
        columns={
            **on_calls(
                reported_cost_usd=("operation.cost",),
                reasoning_tokens=("gen_ai.usage.details.reasoning_tokens",),
            ),
            "gen_ai.client.operation.time_to_first_chunk": SECONDS_TO_FIRST_TOKEN,
        },
    ),
    Dialect(
        "litellm",
        90,
        scopes=("litellm",),
        columns=on_calls(
            reported_cost_usd=("gen_ai.cost.total_cost", "litellm.cost.total_cost"),
        ),
    ),
    Dialect(
        "openlit",
        100,
        scopes=("openlit.",),
        columns={
            **on_calls(reported_cost_usd=("gen_ai.usage.cost",)),
            "gen_ai.server.time_to_first_token": SECONDS_TO_FIRST_TOKEN,
        },
    ),
    Dialect("microsoft", 110, scopes=("agent_framework", "semantic_kernel*")),
    Dialect("haystack", 120, prefixes=("haystack.",)),
    Dialect("vercel_ai", 130, keys=("ai.operationId",)),
)


@cache
def known() -> tuple[Dialect, ...]:
    """Return all dialects in order of rank: one for each file of the folder, and the named."""
    files = [
        importlib.import_module(f"{_PACKAGE}.{name}").DIALECT for name in plugin.names(_PACKAGE)
    ]
    names = {dialect.name for dialect in files}
    return tuple(sorted([*files, *(d for d in _NAMED if d.name not in names)], key=_rank))


def _rank(dialect: Dialect) -> int:
    return dialect.rank


def base() -> Dialect:
    """Return the dialect of the conventions, whose keys hold everywhere."""
    return next(dialect for dialect in known() if dialect.name == "otel")
