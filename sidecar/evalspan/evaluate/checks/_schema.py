"""Whether a JSON Schema is one, told with the place in it and what was meant."""

from typing import Any, Final

import jsonschema_rs

from evalspan.config import SettingError, nearest

_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")


def sound(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema; raises SettingError with the keys that lead to the first mistake."""
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except jsonschema_rs.ValidationError as error:
        raise SettingError(list(error.instance_path), _words(error)) from error
    return schema


def _words(error: jsonschema_rs.ValidationError) -> str:
    given = error.instance
    if error.instance_path[-1:] == ["type"]:
        return _of_type(given)
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Format):
        return f"{given!r} is no regular expression"
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AnyOf):
        return f"this is nothing that a JSON Schema has here (found {str(given)[:60]!r})"
    return f"this is no JSON Schema: {error.message}"


def _of_type(given: object) -> str:
    words = given if isinstance(given, list) else [given]
    wrong = next((word for word in words if word not in _TYPES), None)
    if wrong is None:
        return f"expected one of {', '.join(_TYPES)}, or a list of them, each once"
    return f"{wrong!r} is no JSON Schema type.{nearest(str(wrong), _TYPES)}"
