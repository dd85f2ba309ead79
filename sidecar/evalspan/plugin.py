"""Extensions: one file each, found by their name; the file name is the registration.

`use: latency` loads `latency` from `latency.py` in the folder of that kind of
extension. `use: my_pkg.checks:polite` loads the user's own function; modules
are looked for next to the config file first.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

Shape = Literal["spans", "span", "trace"]
SHAPES: tuple[Shape, ...] = ("spans", "span", "trace")


class PluginError(ValueError):
    """An extension that cannot be found or does not fit; says where and what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one span or trace.

    `passed` None means no verdict; `value` is the number measured, if there is
    one; `reason` says why in words; `evidence` quotes the span.
    """

    passed: bool | None = None
    value: float | None = None
    reason: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class SpanView:
    """One span as a check sees it: the columns of SPANS plus every attribute by its key.

    `row` holds the columns of SPANS; `attributes` the attributes as they came,
    by key; `dimensions` the configured dimensions. Columns read as attributes
    of the view: `span.output_text`.
    """

    row: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a column has the type of its column
        try:
            return self.row[name]
        except KeyError:
            near = get_close_matches(name, list(self.row), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"a span has no column {name!r}{hint}"
            raise AttributeError(msg) from None


@dataclass(frozen=True, slots=True)
class TraceView:
    """All spans of a settled trace, in order of their start."""

    trace_id: str
    spans: tuple[SpanView, ...]

    @property
    def root(self) -> SpanView:
        """The first span without a parent in the trace, else the first span."""
        ids = {span.span_id for span in self.spans}
        roots = (s for s in self.spans if s.parent_span_id not in ids)
        return next(roots, self.spans[0])


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded extension: its name, function, settings (keyword → default) and text."""

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, inspect.Parameter]
    text: str

    @property
    def shape(self) -> Shape:
        """What a check reads: the name of its first parameter."""
        first = next(iter(inspect.signature(self.function).parameters), "")
        if first not in SHAPES:
            msg = (
                f"{self.name}: the first parameter of a check must be named spans, span or "
                f"trace, not {first!r}"
            )
            raise PluginError(msg)
        return first


def names(package: str) -> list[str]:
    """Return the names of the extensions in the folder of `package`."""
    module = importlib.import_module(package)
    found = (m.name for m in pkgutil.iter_modules(module.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def load(package: str, use: str, folder: Path | None = None) -> Plugin:
    """Load the extension that `use` names.

    `package` is the folder of built-in extensions, `folder` the one that holds
    the user's modules. Raises PluginError.
    """
    if ":" in use:
        return _wrap(use, _user_function(use, folder))
    known = names(package)
    if use not in known:
        near = get_close_matches(use, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = (
            f"there is no {use!r} here; built in are {', '.join(known)}.{hint} "
            "Your own function is written module:function."
        )
        raise PluginError(msg)
    return _wrap(use, getattr(importlib.import_module(f"{package}.{use}"), use))


def _wrap(name: str, function: Callable[..., Any]) -> Plugin:
    parameters = dict(list(inspect.signature(function).parameters.items())[1:])
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY}
    ]
    if missing:
        msg = f"{name}: settings must be keyword parameters with defaults: {', '.join(missing)}"
        raise PluginError(msg)
    return Plugin(name, function, parameters, inspect.getdoc(function) or "")


def _user_function(use: str, folder: Path | None) -> Callable[..., Any]:
    module_name, _, function_name = use.partition(":")
    try:
        module = _user_module(module_name, folder)
    except (Exception, SystemExit) as error:
        msg = f"{use}: the module {module_name!r} cannot be loaded: {error!r}"
        raise PluginError(msg) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        msg = f"{use}: {module_name} has no function {function_name!r}"
        raise PluginError(msg)
    return function  # type: ignore[no-any-return]


def _user_module(name: str, folder: Path | None) -> Any:  # noqa: ANN401 - a module
    """Import a module, first from the folder of the config, whatever was imported elsewhere."""
    if folder is not None:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.path.insert(0, str(folder))
        _forget_namesake(name.partition(".")[0], folder)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _forget_namesake(top: str, folder: Path) -> None:
    """Forget a module of another folder that bears the name of one in this folder."""
    here = (folder / f"{top}.py", folder / top / "__init__.py")
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if loaded is None or not any(file.exists() for file in here):
        return
    if Path(loaded).resolve() not in {file.resolve() for file in here}:
        for known in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[known]
