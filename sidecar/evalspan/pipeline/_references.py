"""What the settings say of each other: names that are there, addresses and times that go together.

Nothing is loaded and no file is looked at; `_check` does that.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from evalspan import model
from evalspan.config import Dimension, SettingError, nearest
from evalspan.pipeline._settings import BUILT_IN, Settings

Keys = tuple[str | int, ...]

# Names that mean something else beside a dimension: labels of our metrics, columns of analyses.
_OF_METRICS: Final = ("le", "quantile", "job", "instance", "reason", "outcome", "id", "kind")
_OF_ANALYSES: Final = ("score", "cluster", "attempt", "counts", "root", "day", "direction", "slice")
_OF_FRAMES: Final = ("row", "bucket", "shown", "n", "series")
_TAKEN: Final = frozenset((*_OF_METRICS, *_OF_ANALYSES, *_OF_FRAMES))
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Built-in check that only measures → its settings that make verdicts of what it measures.
_LIMITS: Final[Mapping[str, tuple[str, ...]]] = {
    "latency": ("max_ms",),
    "time_to_first_token": ("max_ms",),
    "cost": ("max_usd",),
    "tokens": ("max_input", "max_output", "max_total"),
}
_LAST_PORT: Final = 65535
_EVERYWHERE: Final = ("", "0.0.0.0", "[::]", "::", "*")  # noqa: S104 - recognised, not used
_TRACE_ID: Final = "{trace_id}"


def mistakes_between(settings: Settings) -> Iterator[SettingError]:
    """Yield what does not go together in the settings."""
    for name, dimension in settings.dimensions.items():
        yield from _of_dimension(name, dimension)
    yield from _of_names(settings)
    yield from _of_dimensions_named(settings)
    yield from _of_checks_named(settings)
    yield from _of_addresses(settings)
    needed = settings.settle.idle + settings.settle.max_age
    if settings.wal.tick_for < needed:
        told = (
            f"must be at least settle.idle + settle.max_age ({needed}), or the last traces "
            f"would wait for the next one (found {settings.wal.tick_for})"
        )
        yield SettingError(("wal", "tick_for"), told)


def unknown(
    what: str, known: Iterable[str], named: Iterable[tuple[Keys, str]]
) -> Iterator[SettingError]:
    """Yield a mistake for each of the `named`, with the keys that lead to it, that is not there."""
    names = list(dict.fromkeys(known))
    for keys, name in named:
        if name not in names:
            listed = ", ".join(names) or "none"
            told = f"there is no {what} {name!r}.{nearest(name, names)} Known: {listed}"
            yield SettingError(keys, told)


def _of_dimension(name: str, dimension: Dimension) -> Iterator[SettingError]:
    keys = ("dimensions", name)
    columns = model.SPANS.schema.names
    if name in BUILT_IN:
        yield SettingError(keys, "this dimension is always there; choose another name")
    elif name in columns or name in _TAKEN or name in model.SCORES.schema.names:
        told = "this is the name of a column or label already; choose another name"
        yield SettingError(keys, told)
    elif not _LABEL.fullmatch(name) or name.startswith("__"):
        told = "a dimension becomes a metric label: letters, digits and _, no digit first, no __"
        yield SettingError(keys, told)
    if (dimension.attribute is None) == (dimension.column is None):
        yield SettingError(keys, "set attribute or column, one of them")
    if dimension.column is not None and dimension.column not in columns:
        told = f"SPANS has no column {dimension.column!r}.{nearest(dimension.column, columns)}"
        yield SettingError((*keys, "column"), told)


def _of_names(settings: Settings) -> Iterator[SettingError]:
    """A name is a metric label and, with `/item` after it, the name of a stream of verdicts."""
    for kind, names in (("checks", settings.checks), ("checklists", settings.checklists)):
        for name in names:
            if not name or "/" in name or not name.isprintable():
                told = "a name is not empty and has no / in it (that stands before an item)"
                yield SettingError((kind, name), told)
    for name in settings.checklists:
        if name in settings.checks:
            told = "a check has this name already; a name is one of them"
            yield SettingError(("checklists", name), told)


def _of_dimensions_named(settings: Settings) -> Iterator[SettingError]:
    detect, explain = settings.detect, settings.explain
    lists: dict[Keys, Sequence[str]] = {
        ("detect", "dimensions"): detect.dimensions,
        ("detect", "version_dimensions"): detect.version_dimensions,
        ("detect", "strata"): detect.strata or (),
        ("explain", "dimensions"): explain.dimensions,
        ("explain", "version_dimensions"): explain.version_dimensions,
        ("explain", "strata"): explain.strata or (),
    }
    named: list[tuple[Keys, str]] = [
        ((*keys, i), name) for keys, names in lists.items() for i, name in enumerate(names)
    ]
    pinned = detect.baseline.versions if detect.baseline else {}
    named += [(("detect", "baseline", "versions", name), name) for name in pinned]
    if detect.cluster:
        named.append((("detect", "cluster"), detect.cluster))
    named.append((("explain", "prompt_dimension"), explain.prompt_dimension))
    return unknown("dimension", settings.all_dimensions, named)


def _of_checks_named(settings: Settings) -> Iterator[SettingError]:
    known = (*settings.checks, *settings.checklists)
    buckets, objectives = settings.metrics.buckets, settings.alerts.objectives
    yield from unknown("check", known, ((("metrics", "buckets", name), name) for name in buckets))
    yield from unknown("check", known, ((("alerts", "objectives", n), n) for n in objectives))
    for name in objectives:
        if limits := _missing_limits(settings, name):
            told = (
                f"the check {name!r} only measures, so that nothing of it can pass; expected "
                f"{' or '.join(f'checks.{name}.{limit}' for limit in limits)} as well"
            )
            yield SettingError(("alerts", "objectives", name), told)
    for name in settings.detect.minimum_effects:
        check, slash, item = name.partition("/")
        keys = ("detect", "minimum_effects", name)
        yield from unknown("check", known, [(keys, check)])
        if check in known and slash:
            yield from _of_item(settings, check, item, keys)


def _missing_limits(settings: Settings, name: str) -> tuple[str, ...]:
    """Return the settings of which a check lacks all, so that it gives no verdicts."""
    check = settings.checks.get(name)
    limits = _LIMITS.get(check.use or name, ()) if check else ()
    if check is None or any(check.settings.get(limit) is not None for limit in limits):
        return ()
    return limits


def _of_item(settings: Settings, check: str, item: str, keys: Keys) -> Iterator[SettingError]:
    """The items of a checklist are its questions; those of your own check are not known here."""
    if check in settings.checklists:
        questions = settings.checklists[check].questions
        yield from unknown(f"question of {check!r} named", questions, [(keys, item)])
    elif ":" not in (settings.checks[check].use or ""):
        yield SettingError(keys, f"the check {check!r} has no items; write {check!r} alone")


def _of_addresses(settings: Settings) -> Iterator[SettingError]:
    received, shown = settings.receive.listen, settings.metrics.listen
    for room, listen in (("receive", received), ("metrics", shown)):
        if _port(listen) > _LAST_PORT:
            told = f"expected a port from 0 to {_LAST_PORT} (found {listen!r})"
            yield SettingError((room, "listen"), told)
    if _collide(received, shown):
        written = "listen" in settings.metrics.model_fields_set
        room, other = ("metrics", "receive") if written else ("receive", "metrics")
        told = f"{other}.listen has this port already; expected one for each (found {received!r})"
        yield SettingError((room, "listen"), told)
    url = settings.report.trace_url
    if url is not None and _TRACE_ID not in url:
        told = f"expected {_TRACE_ID} in it, where the id of the trace goes (found {url!r})."
        words = re.findall(r"\{\w+\}", url)
        hint = f" Did you mean {_TRACE_ID} for {words[0]}?" if words else ""
        yield SettingError(("report", "trace_url"), told + hint)


def _port(listen: str) -> int:
    """Return the port; 0, which is any, for a socket that is a file."""
    port = listen.rpartition(":")[2]
    return int(port) if port.isdecimal() and not listen.startswith("unix:") else 0


def _collide(one: str, other: str) -> bool:
    if not _port(one) or _port(one) != _port(other):
        return False
    hosts = [a.rpartition(":")[0].replace("localhost", "127.0.0.1") for a in (one, other)]
    return hosts[0] == hosts[1] or any(host in _EVERYWHERE for host in hosts)
