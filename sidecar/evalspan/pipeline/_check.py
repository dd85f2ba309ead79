"""Check a config without running it: what the types of the settings cannot see."""

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from evalspan import plugin
from evalspan.config import SettingError, located
from evalspan.pipeline._build import mistakes_of_checks, views_of
from evalspan.pipeline._plugins import KINDS
from evalspan.pipeline._settings import Settings, load_settings

Keys = tuple[str | int, ...]


def check_config(file: Path) -> list[str]:
    """Check a config file; returns notes. Raises ConfigError, a line for each mistake."""
    settings = load_settings(file)
    require_sound(settings)
    return _notes(settings)


def require_sound(settings: Settings) -> None:
    """Raise ConfigError, a line with file, line and key for each mistake."""
    found = list(_mistakes(settings))
    if found:
        raise located(found, settings.file)


def _mistakes(settings: Settings) -> Iterator[SettingError]:
    yield from mistakes_of_checks(settings)
    yield from _of_views(settings)
    yield from _of_dimensions(settings)
    checks = (*settings.checks, *settings.checklists)
    yield from _unknown(
        "check", checks, (("metrics", "buckets", n) for n in settings.metrics.buckets)
    )
    yield from _unknown(
        "check", checks, (("alerts", "objectives", n) for n in settings.alerts.objectives)
    )
    yield from _of_extensions(settings)


def _of_views(settings: Settings) -> Iterator[SettingError]:
    try:
        known = tuple(views_of(settings, None))
    except SettingError as mistake:
        yield mistake
        return
    watched = enumerate(settings.analysis.views)
    yield from _unknown("view", known, (("analysis", "views", i, name) for i, name in watched))


def _of_dimensions(settings: Settings) -> Iterator[SettingError]:
    named: dict[Keys, Sequence[str]] = {
        ("detect", "dimensions"): settings.detect.dimensions,
        ("detect", "version_dimensions"): settings.detect.version_dimensions,
        ("detect", "strata"): settings.detect.strata or (),
        ("explain", "dimensions"): settings.explain.dimensions,
    }
    places = ((*keys, i, name) for keys, names in named.items() for i, name in enumerate(names))
    yield from _unknown("dimension", settings.all_dimensions, places)


def _of_extensions(settings: Settings) -> Iterator[SettingError]:
    used: list[tuple[str, Keys, str]] = [
        ("mutator", ("optimize", "mutators", i), mutator.use)
        for i, mutator in enumerate(settings.optimize.mutators)
    ]
    used.append(("target", ("optimize", "target", "use"), settings.optimize.target.use))
    for kind, keys, use in used:
        try:
            plugin.load(KINDS[kind], use, settings.folder)
        except plugin.PluginError as error:
            yield SettingError(keys, str(error))


def _unknown(what: str, known: Sequence[str], places: Iterator[Keys]) -> Iterator[SettingError]:
    """Yield a mistake for each place whose last part is no known name."""
    for *keys, name in places:
        if name in known:
            continue
        near = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        at = keys if isinstance(keys[-1], int) else [*keys, name]
        yield SettingError(at, f"there is no {what} {name!r}.{hint} Known: {', '.join(known)}")


def missing_key(settings: Settings) -> str | None:
    """Return a warning if judges are configured and the API key is not where they look for it.

    It is this process that is looked at; the sidecar may have been given another environment.
    """
    name = settings.llm.api_key_env
    if not settings.checklists or os.environ.get(name):
        return None
    judges = ", ".join(settings.checklists)
    return (
        f"warning: the environment variable {name} is not set here. Where `evalspan serve` has "
        f"none either, the judges ({judges}) answer every span with an error; llm.api_key_env "
        "names another variable"
    )


def _notes(settings: Settings) -> list[str]:
    if settings.checks or settings.checklists:
        missing = missing_key(settings)
        return [missing] if missing else []
    return ["note: no checks are configured; only the GenAI client metrics will show"]
