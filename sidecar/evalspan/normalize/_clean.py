"""Words of vendors as words of the contract."""

import math
from typing import Any, Final

from pydantic_core import from_json

from evalspan.normalize import _values

_PROVIDERS: Final = {
    "vertex_ai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "xai": "x_ai",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
# Frameworks that give their own name where the provider belongs.
_FRAMEWORKS: Final = frozenset(
    {
        "langchain",
        "langgraph",
        "llamaindex",
        "llama_index",
        "crewai",
        "haystack",
        "strands-agents",
        "microsoft.agent_framework",
        "gcp.vertex.agent",
        "pydantic-ai",
    },
)
_MODEL_PROVIDERS: Final = (
    ("claude", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("gemini", "gcp.gemini"),
    ("mistral", "mistral_ai"),
    ("command", "cohere"),
    ("deepseek", "deepseek"),
    ("grok", "x_ai"),
)
_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "complete": "stop",
    "completed": "stop",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
}
# What other vendors call the operations of the conventions.
_OPERATIONS: Final = {
    "llm": "chat",
    "completion": "text_completion",
    "embedding": "embeddings",
    "agent": "invoke_agent",
    "chain": "invoke_workflow",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "vector_db_retrieve": "retrieval",
}


@_values.remembered(4096)
def operation(word: str) -> str:
    """Return the conventions' word for an operation, else the vendor's as it came."""
    return _OPERATIONS.get(word.lower(), word)


@_values.remembered(4096)
def provider(name: str) -> str | None:
    """Return the conventions' word for a provider; None for the name of a framework."""
    lower = name.strip().lower()
    return None if lower in _FRAMEWORKS else _PROVIDERS.get(lower, lower) or None


@_values.remembered(4096)
def provider_of_model(model: str | None) -> str | None:
    """Guess the provider from the name of a model; None if it does not tell."""
    name = (model or "").lower().rpartition("/")[2]
    return next((word for prefix, word in _MODEL_PROVIDERS if name.startswith(prefix)), None)


@_values.remembered(4096)
def finish_reason(word: str) -> str:
    """Return the contract's word for a finish reason, else the vendor's in lower case."""
    lower = word.removeprefix("FinishReason.").lower()
    return _REASONS.get(lower, lower)


@_values.remembered(4096)
def finish_reasons(value: str | bytes) -> tuple[tuple[str, ...], bool] | None:
    """Read finish reasons from a text (a word, or a JSON list) or the bytes of an AnyValue.

    Returns them with whether they are word for word what an array of texts
    held; None if there are none.
    """
    raw = _values.plain(value) if isinstance(value, bytes) else _json_or_word(value)
    words = raw if isinstance(raw, list) else [raw]
    texts = tuple(finish_reason(word) for word in words if isinstance(word, str) and word)
    if not texts:
        return None
    return texts, isinstance(value, bytes) and isinstance(raw, list) and list(texts) == raw


def _json_or_word(text: str) -> Any:  # noqa: ANN401 - any JSON value
    if text[:1] not in {"[", '"'}:
        return text
    try:
        return from_json(text)
    except ValueError:
        return text


def whole(value: Any) -> int | None:  # noqa: ANN401 - any attribute value
    """Return a count from a number or numeric text; None if it is none."""
    number = real(value)
    if number is None or not number.is_integer() or abs(number) >= 1 << 63:
        return None
    return (
        int(value) if isinstance(value, int | str) and str(value).strip().isdigit() else int(number)
    )


def real(value: Any) -> float | None:  # noqa: ANN401 - any attribute value
    """Return a finite number from a number or numeric text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # JSON has integers that no float holds
        return None
    return number if math.isfinite(number) else None


def flag(value: Any) -> bool | None:  # noqa: ANN401 - any attribute value
    """Return a flag from a bool or the words true and false; None if it is none."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def word(value: Any) -> str | None:  # noqa: ANN401 - any attribute value
    """Return a scalar as text; None if it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str | int | float) else None
