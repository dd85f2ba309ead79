"""OTLP/JSON of the parts that are kept as text: resource, scope, body of a log record.

Text that is no UTF-8 comes out with U+FFFD. Numbers of 64 bits are strings,
bytes base64 and ids hex, as the OTLP specification has it.
"""

import base64
import json
import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from evalspan.decode._lens import AnyValue, Resource, Scope

# One text stands on every span that it belongs to, so a long one is paid for many times.
_LONGEST_VALUE_BYTES: Final = 16 * 1024
_LONGEST_NAME_BYTES: Final = 1024
_MAX_DEPTH: Final = 60
Read = TypeVar("Read")
_REPLACED: Final = "\ufffd"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _remembered(read: Callable[[bytes, bytes], Read]) -> Callable[[bytes, bytes], Read]:
    """Remember what was read, but of nothing long: thousands of it would fill the memory."""
    known = lru_cache(maxsize=4096)(read)

    @wraps(read)
    def call(data: bytes, schema: bytes) -> Read:
        short = len(data) + len(schema) <= _LONGEST_VALUE_BYTES
        return known(data, schema) if short else read(data, schema)

    return call


def value(any_value: Any, depth: int = 0) -> dict[str, Any]:  # noqa: ANN401 - protobuf message
    """Return an AnyValue of the deep lens as OTLP/JSON; {} if it is empty or nested too deep."""
    kind = any_value.WhichOneof("value")
    if kind is None or depth > _MAX_DEPTH:
        return {}
    held = getattr(any_value, kind)
    return {_CAMEL[kind]: _plain(kind, held, depth)}


def _plain(kind: str, held: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    if kind == "array_value":
        return {"values": [value(v, depth + 1) for v in held.values]}
    if kind == "kvlist_value":
        return {"values": [pair(kv, depth + 1) for kv in held.values]}
    write = _SCALARS.get(kind)
    return write(held) if write else held


def _number(held: float) -> float | str:
    if math.isfinite(held):
        return held
    return "NaN" if math.isnan(held) else "Infinity" if held > 0 else "-Infinity"


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "string_value": _text,
    "bytes_value": lambda held: base64.b64encode(held).decode(),
    "int_value": str,
    "double_value": _number,
}
_CAMEL: Final = {
    "string_value": "stringValue",
    "bool_value": "boolValue",
    "int_value": "intValue",
    "double_value": "doubleValue",
    "array_value": "arrayValue",
    "kvlist_value": "kvlistValue",
    "bytes_value": "bytesValue",
}


def pair(key_value: Any, depth: int = 0) -> dict[str, Any]:  # noqa: ANN401 - protobuf message
    """Return a KeyValue of the deep lens as OTLP/JSON."""
    out: dict[str, Any] = {"key": _text(key_value.key)}
    if key_value.HasField("value"):
        out["value"] = value(key_value.value, depth)
    return out


def dump(document: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def left_out(text: str) -> str:
    """Return what stands instead of a text that takes too much room."""
    return dump({"leftOutBytes": len(text)})


@_remembered
def resource(data: bytes, schema: bytes) -> tuple[str, dict[str, str], str | None]:
    """Return the JSON of a resource, its text attributes, and what had to be mended."""
    try:
        message = Resource.FromString(data)
    except DecodeError:
        return dump({"unreadable": base64.b64encode(data).decode()}), {}, "resource"
    cut = _shorten(message.attributes)
    document: dict[str, Any] = {"attributes": [pair(kv) for kv in message.attributes]}
    if message.dropped_attributes_count:
        document["droppedAttributesCount"] = message.dropped_attributes_count
    if message.entity_refs:
        document["entityRefs"] = [_entity(ref) for ref in message.entity_refs]
    if schema:
        document["schemaUrl"] = _text(schema)
    texts = {
        _text(kv.key): _text(kv.value.string_value[:_LONGEST_NAME_BYTES])
        for kv in message.attributes
        if kv.value.WhichOneof("value") == "string_value"
    }
    text = dump(document)
    return text, texts, "resource" if cut or _mended(text, data) else None


@_remembered
def scope(data: bytes, schema: bytes) -> tuple[str, str, str | None]:
    """Return the JSON of a scope, its name, and what had to be mended."""
    try:
        message = Scope.FromString(data)
    except DecodeError:
        return dump({"unreadable": base64.b64encode(data).decode()}), "", "scope"
    cut = _shorten(message.attributes)
    name = _text(message.name[:_LONGEST_NAME_BYTES])
    cut |= len(message.name) > _LONGEST_NAME_BYTES
    document: dict[str, Any] = {"name": name}
    if message.version:
        document["version"] = _text(message.version)
    if message.attributes:
        document["attributes"] = [pair(kv) for kv in message.attributes]
    if message.dropped_attributes_count:
        document["droppedAttributesCount"] = message.dropped_attributes_count
    if schema:
        document["schemaUrl"] = _text(schema)
    text = dump(document)
    return text, name, "scope" if cut or _mended(text, data) else None


def body(any_value_bytes: bytes) -> str:
    """Return the OTLP/JSON of an AnyValue given as bytes."""
    try:
        return dump(value(AnyValue.FromString(any_value_bytes)))
    except DecodeError:
        return dump({"unreadable": base64.b64encode(any_value_bytes).decode()})


def _entity(ref: Any) -> dict[str, Any]:  # noqa: ANN401 - protobuf message
    return {
        "schemaUrl": _text(ref.schema_url),
        "type": _text(ref.type),
        "idKeys": [_text(key) for key in ref.id_keys],
        "descriptionKeys": [_text(key) for key in ref.description_keys],
    }


def _shorten(attributes: Any) -> bool:  # noqa: ANN401 - repeated KeyValue
    """Cut values that are too long to stand on every span; say whether any was."""
    cut = False
    for key_value in attributes:
        if key_value.value.ByteSize() > _LONGEST_VALUE_BYTES:
            text = key_value.value.string_value or b""
            key_value.value.string_value = text[:_LONGEST_VALUE_BYTES] + "\u2026".encode()
            cut = True
    return cut


def _mended(text: str, data: bytes) -> bool:
    """Whether the replacement character in a text is ours and not the sender's."""
    return _REPLACED in text and _REPLACED.encode() not in data
