"""The config from its file."""

from pathlib import Path
from typing import Final

from evalspan import config
from evalspan.config import located
from evalspan.pipeline._references import mistakes_between
from evalspan.pipeline._settings import Settings

DEFAULT_FILE: Final = Path("evalspan.yaml")


def load_settings(file: Path | None = None, *, data: Path | None = None) -> Settings:
    """Read the config; without a file ./evalspan.yaml, and without that the defaults.

    `data` is used instead of the folder in the config. Raises ConfigError.
    """
    settings = read_settings(file, data=data)
    mistakes = list(mistakes_between(settings))
    if mistakes:
        raise located(mistakes, settings.file)
    return settings


def read_settings(file: Path | None, *, data: Path | None = None) -> Settings:
    """Read the config for who looks himself at what does not go together in it."""
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    settings = config.load(file, Settings) if file else Settings()
    if data is not None:
        settings = settings.model_copy(update={"data": data})
    settings.read_from(file)
    return settings
