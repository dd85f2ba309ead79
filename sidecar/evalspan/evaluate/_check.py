"""A check made ready: function, settings, condition and revision."""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, get_type_hints

import polars as pl

from evalspan import plugin
from evalspan.condition import ConditionError, compile_condition
from evalspan.evaluate._frame import schema
from evalspan.evaluate._prices import Prices
from evalspan.evaluate._settings import CheckSettings
from evalspan.evaluate._value import value_of

BUILT_IN: Final = "evalspan.evaluate.checks"
# A check is handed these if it has a parameter of that name; they are no settings.
CONTEXT: Final = ("prices", "folder")
_DEFAULT_MATCH: Final = {"spans": "role = 'llm'", "span": "role = 'llm'", "trace": None}


class Problem(NamedTuple):
    """A mistake in the config: the keys that lead to it, and what is wrong."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What checks are built with: the config's folder, the dimensions, the prices."""

    folder: Path
    dimensions: Sequence[str] = ()
    prices: Prices = field(default_factory=Prices)


@dataclass(frozen=True, slots=True)
class Check:
    """A check that can be run. `own` is true for a user's function, which runs in a worker."""

    name: str
    use: str
    shape: plugin.Shape
    function: Any
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    match: pl.Expr | None
    sample: float
    inline: bool
    time_limit_seconds: float
    own: bool
    revision: str


def prepare(
    name: str, given: CheckSettings, around: Surroundings
) -> tuple[Check | None, list[Problem]]:
    """Return the check, or the mistakes in its settings."""
    use = given.use or name
    try:
        loaded = plugin.load(BUILT_IN, use, around.folder)
        shape = loaded.shape
    except plugin.PluginError as error:
        key = ("checks", name, "use") if given.use else ("checks", name)
        return None, [Problem(key, str(error))]
    settings, problems = _settings(name, loaded, given.settings, around)
    match, wrong = _match(name, given.match, loaded, shape, around)
    problems += wrong
    if problems:
        return None, problems
    arguments = {**settings, **_context(loaded, around)}
    own = ":" in use
    if not own and (problem := _dry_run(shape, loaded.function, arguments, around)):
        return None, [Problem(("checks", name), problem)]
    check = Check(
        name=name,
        use=use,
        shape=shape,
        function=loaded.function,
        arguments=arguments,
        settings=settings,
        match=match,
        sample=given.sample,
        inline=given.inline,
        time_limit_seconds=given.time_limit.total_seconds(),
        own=own,
        revision=_revision(loaded, settings, around),
    )
    return check, []


def _settings(
    name: str, loaded: plugin.Plugin, given: Mapping[str, Any], around: Surroundings
) -> tuple[dict[str, Any], list[Problem]]:
    """Check each setting against the parameter of its name.

    A module says with `FILES` which settings may be the path of a JSON or YAML file
    from the config's folder; the function is handed what stands in the file.
    """
    files = getattr(sys.modules[loaded.function.__module__], "FILES", ())
    known = {n: p for n, p in loaded.parameters.items() if n not in CONTEXT}
    hints = get_type_hints(loaded.function, include_extras=True)
    problems = [
        Problem(("checks", name, n), "this name is taken by evalspan; call the parameter otherwise")
        for n in known
        if n in CheckSettings.model_fields
    ]
    settings = {}
    for key, value in given.items():
        if key not in known:
            problems.append(Problem(("checks", name, key), _unknown(key, list(known))))
            continue
        folder = around.folder if key in files else None
        settings[key], wrong = value_of(hints.get(key, Any), value, folder)
        problems += (Problem(("checks", name, key, *each.keys), each.told) for each in wrong)
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in given:
            problems.append(Problem(("checks", name, key), f"{loaded.name} needs this setting"))
    defaults = {n: p.default for n, p in known.items() if p.default is not p.empty}
    return {**defaults, **settings}, problems


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, [*known, *CheckSettings.model_fields], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown key.{hint} Known here: {', '.join([*CheckSettings.model_fields, *known])}."


def _match(
    name: str, text: str | None, loaded: plugin.Plugin, shape: str, around: Surroundings
) -> tuple[pl.Expr | None, list[Problem]]:
    module = sys.modules[loaded.function.__module__]
    default = getattr(module, "MATCH", _DEFAULT_MATCH[shape])
    wanted = default if text is None else text
    if wanted is None:
        return None, []
    try:
        return compile_condition(wanted, schema(around.dimensions)), []
    except ConditionError as error:
        return None, [Problem(("checks", name, "match"), f"{error} (found {wanted!r})")]


def _context(loaded: plugin.Plugin, around: Surroundings) -> dict[str, Any]:
    have = {"prices": around.prices, "folder": around.folder}
    return {name: have[name] for name in CONTEXT if name in loaded.parameters}


def _dry_run(shape: str, function: Any, arguments: Mapping[str, Any], around: Surroundings) -> str:  # noqa: ANN401
    """Run a built-in check over no span, which shows a setting that has no meaning."""
    if shape != "spans":
        return ""
    try:
        function(pl.DataFrame(schema=schema(around.dimensions)), **arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the config is to blame
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _revision(loaded: plugin.Plugin, settings: Mapping[str, Any], around: Surroundings) -> str:
    """Hash what decides the verdict: the code, the settings and the packages it names.

    A module says with `LIBRARIES` which packages decide with it.
    """
    module = sys.modules[loaded.function.__module__]
    parts = [loaded.function.__qualname__, *_sources(loaded.function, module)]
    parts.append(json.dumps(settings, sort_keys=True, default=str))
    parts += [f"{package} {version(package)}" for package in getattr(module, "LIBRARIES", ())]
    if "prices" in loaded.parameters:
        parts.append(around.prices.revision)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _sources(function: Any, module: ModuleType) -> list[str]:  # noqa: ANN401 - a function
    """Return the text of the function's file, and of what it imports from beside it."""
    own = inspect.getsourcefile(function)
    if own is None:
        return [repr(function)]
    used = (v for v in vars(module).values() if isinstance(v, FunctionType | type | ModuleType))
    files = {Path(own)} | {Path(f) for f in map(_file_of, used) if f is not None}
    beside = sorted(f for f in files if f.parent == Path(own).parent)
    return [f.read_text(encoding="utf-8") for f in beside]


def _file_of(thing: FunctionType | type | ModuleType) -> str | None:
    """Return the file that defines it; None for what is built into Python."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return getattr(sys.modules.get(name), "__file__", None)
