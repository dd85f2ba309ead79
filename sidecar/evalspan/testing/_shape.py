"""Fits a value to a JSON Schema, as a provider's constrained decoding would."""

from collections.abc import Callable, Mapping
from typing import Any

from evalspan.testing._conversation import Json
from evalspan.testing._reading import as_number

MAX_DEPTH = 12


def fitted(value: object, schema: Json, root: Json | None = None, depth: int = 0) -> object:
    """The value as near to `value` as the schema allows; missing parts are empty or zero.

    Knows what strict structured output allows: `$ref` into the same document, `enum`, `const`,
    `anyOf` (the first branch that is not null), and the types. Deeper than 12 levels is null.
    """
    root = schema if root is None else root
    if depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return fitted(value, _resolved(schema["$ref"], root), root, depth + 1)
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
        return fitted(value, branches[0], root, depth + 1) if branches else None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return value if value in schema["enum"] else schema["enum"][0]
    return _fitted_type(value, schema, root, depth)


def _fitted_type(value: object, schema: Json, root: Json, depth: int) -> object:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if kind == "object":
        source = value if isinstance(value, Mapping) else {}
        return {
            name: fitted(source.get(name), part, root, depth + 1)
            for name, part in schema.get("properties", {}).items()
        }
    if kind == "array":
        items = value if isinstance(value, list) else []
        return [fitted(item, schema.get("items", {}), root, depth + 1) for item in items]
    plain = _PLAIN.get(kind) if isinstance(kind, str) else None
    return plain(value) if plain else value


def _resolved(reference: str, root: Json) -> Json:
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return dict(node)


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return value
    return as_number(str(value or "")) or 0.0


_PLAIN: dict[str, Callable[[object], object]] = {
    "string": lambda value: "" if value is None else str(value),
    "number": _number,
    "integer": lambda value: int(_number(value)),
    "boolean": bool,
    "null": lambda _: None,
}
