"""AnyValue, arrays and maps among them, as plain Python values."""

import base64
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_MAX_DEPTH: Final = 60
Text = TypeVar("Text", str, str | None, str | bytes)
Result = TypeVar("Result")
_LONGEST_REMEMBERED: Final = 16 * 1024


def remembered(most: int) -> Callable[[Callable[[Text], Result]], Callable[[Text], Result]]:
    """Remember the answers of a function of a text, but none of a long one.

    Senders choose the texts, and as many of the longest kind would fill the memory.
    """

    def decorate(function: Callable[[Text], Result]) -> Callable[[Text], Result]:
        known = lru_cache(maxsize=most)(function)

        @wraps(function)
        def call(text: Text) -> Result:
            short = text is None or len(text) <= _LONGEST_REMEMBERED
            return known(text) if short else function(text)

        return call

    return decorate


def plain(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that the bytes of an AnyValue hold; None if they cannot be read."""
    try:
        return _value(AnyValue.FromString(data))
    except DecodeError:
        return None


def _value(held: AnyValue, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    kind = held.WhichOneof("value")
    if kind is None or depth > _MAX_DEPTH:
        return None
    if kind == "array_value":
        return [_value(item, depth + 1) for item in held.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in held.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(held.bytes_value).decode()
    return getattr(held, kind)


_WRITTEN: Final = {
    "stringValue": str,
    "intValue": int,
    "doubleValue": float,
    "boolValue": bool,
    "bytesValue": str,
}


def from_otlp_json(held: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the plain value of an AnyValue written as OTLP/JSON."""
    for kind, value in (held or {}).items():
        if kind == "arrayValue":
            return [from_otlp_json(item) for item in value.get("values", ())]
        if kind == "kvlistValue":
            return {pair["key"]: from_otlp_json(pair.get("value")) for pair in value["values"]}
        if kind in _WRITTEN:
            return _WRITTEN[kind](value)
    return None


def attribute(row: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a row of ATTRIBUTE."""
    if row["nested"] is not None:
        return plain(row["nested"])
    kinds = ("string", "int", "double", "bool", "bytes")
    return next((row[kind] for kind in kinds if row[kind] is not None), None)
