"""What can be named in a config: every extension with its text and settings."""

import importlib
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from evalspan import plugin

KINDS: Final = {
    "check": "evalspan.evaluate.checks",
    "dialect": "evalspan.normalize.dialects",
    "mutator": "evalspan.optimize.mutators",
    "target": "evalspan.optimize.targets",
    "renderer": "evalspan.report.renderers",
}
# Keywords that the sidecar fills in; no settings of the user.
HANDED_IN: Final = {
    "prices", "folder", "ask", "settings", "search", "finding", "count", "case",
}  # fmt: skip


def plugins() -> dict[str, list[dict[str, Any]]]:
    """Return kind → extensions: name, text and settings."""
    return {
        kind: [_entry(package, n) for n in plugin.names(package)] for kind, package in KINDS.items()
    }


def _entry(package: str, name: str) -> dict[str, Any]:
    module = importlib.import_module(f"{package}.{name}")
    function = getattr(module, name, None)
    text = inspect.getdoc(function) if callable(function) else inspect.getdoc(module)
    settings = []
    if callable(function):
        loaded = plugin.load(package, name)
        files = getattr(module, "FILES", ())
        settings = [
            _setting(p, may_be_file=p.name in files)
            for p in loaded.parameters.values()
            if p.name not in HANDED_IN
        ]
    return {"name": name, "text": text or "", "settings": settings}


def _setting(parameter: inspect.Parameter, *, may_be_file: bool) -> str:
    """Return a setting as the person who writes it needs it: name, what goes there, default."""
    words = _words(parameter.annotation) + (", or the path of a file" if may_be_file else "")
    if parameter.default is parameter.empty:
        return f"{parameter.name}: {words}; must be set"
    if parameter.default is None:
        return f"{parameter.name}: {words}"
    shown = parameter.default
    default = str(shown).lower() if isinstance(shown, bool) else shown
    return f"{parameter.name}: {words}; default {default}"


_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    float: "number",
    int: "whole number",
    str: "text",
}


def _words(annotation: Any) -> str:  # noqa: ANN401 - a typing form
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(parts[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(part) for part in parts if part is not type(None))
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin in {list, tuple, set, Sequence}:
        inner = [part for part in parts if part is not Ellipsis]
        return f"list of {_words(inner[0])}s" if inner else "list"
    if origin in {dict, Mapping}:
        return "keys and values"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
