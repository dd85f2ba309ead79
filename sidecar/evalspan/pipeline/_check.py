"""Check a config without running it: what the types of the settings cannot see."""

import os
from collections.abc import Iterator
from pathlib import Path

from evalspan import plugin
from evalspan.config import SettingError, lines_of, located, nearest
from evalspan.pipeline._build import mistakes_of_checks, views_of
from evalspan.pipeline._load import read_settings
from evalspan.pipeline._plugins import KINDS
from evalspan.pipeline._references import Keys, mistakes_between, unknown
from evalspan.pipeline._settings import Settings


def check_config(file: Path) -> list[str]:
    """Check a config file; returns notes. Raises ConfigError, a line for each mistake."""
    settings = read_settings(file)
    require_sound(settings)
    return [*lines_of(_of_files(settings), file), *_notes(settings)]


def require_sound(settings: Settings) -> None:
    """Raise ConfigError, a line with file, line and key for each mistake."""
    found = list(_mistakes(settings))
    if found:
        raise located(found, settings.file)


def _mistakes(settings: Settings) -> Iterator[SettingError]:
    between = list(mistakes_between(settings))
    yield from between
    told = {mistake.keys for mistake in between}
    yield from (mistake for mistake in mistakes_of_checks(settings) if mistake.keys not in told)
    yield from _of_views(settings)
    yield from _of_extensions(settings)


def _of_views(settings: Settings) -> Iterator[SettingError]:
    try:
        known = tuple(views_of(settings, None))
    except SettingError as mistake:
        yield mistake
        return
    watched = enumerate(settings.analysis.views)
    yield from unknown("view", known, ((("analysis", "views", i), name) for i, name in watched))


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


def _of_files(settings: Settings) -> Iterator[SettingError]:
    """Yield what is no file here: secrets and certificates may be elsewhere than the config.

    Where a config is checked before it is brought to where it runs, they are not there yet.
    """
    receive = settings.receive
    named: dict[Keys, str | Path | None] = {
        ("grafana", "token_file"): settings.grafana.token_file,
        ("receive", "tls_certificate"): receive.tls_certificate,
        ("receive", "tls_key"): receive.tls_key,
        ("receive", "tls_client_ca"): receive.tls_client_ca,
    }
    if settings.report.otlp and (tls := settings.report.otlp.tls):
        for name in type(tls).model_fields:
            named["report", "otlp", "tls", name] = getattr(tls, name)
    for keys, given in named.items():
        if given is not None and not Path(given).is_file():
            beside = Path(given).parent
            there = [each.name for each in beside.iterdir()] if beside.is_dir() else []
            told = f"warning: there is no such file here (found {str(given)!r})."
            yield SettingError(keys, f"{told}{nearest(Path(given).name, there)}")


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
