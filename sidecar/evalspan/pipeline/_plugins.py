"""What can be named in a config: every extension with its text and settings."""

import importlib
import inspect
from typing import Any, Final

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
        settings = [str(p) for p in loaded.parameters.values() if p.name not in HANDED_IN]
    return {"name": name, "text": text or "", "settings": settings}
