"""Mutes: what a person does not want to be told of for a while.

One small file each in the data folder, written whole and then put in place: two people who mute
and unmute at once cannot undo each other's work, and no process needs another one to be alive. A
mute ends by itself. What it covers is followed and kept in the tables as before.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pydantic import Field, ValidationError

from evalspan.config import ConfigError, Strict, parse_duration

FOLDER = "mutes"


class Mute(Strict):
    """One mute: of a regression by its id, or of a check and a slice."""

    id: str
    regression: str | None = None
    check: str | None = None
    slice: dict[str, str] = Field(default_factory=dict)
    reason: str
    created_time: datetime
    until: datetime

    def covers(self, regression: str, check: str, names: Mapping[str, str]) -> bool:
        """Whether it is about this regression: the check, or its item, and at least the slice."""
        if self.regression is not None:
            return regression == self.regression
        same = self.check in (check, check.partition("/")[0])
        return same and all(names.get(key) == value for key, value in self.slice.items())


def add_mute(data: Path, mute: Mute) -> None:
    """Keep a mute; one about the same thing is replaced."""
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{mute.id}.new"
    new.write_text(mute.model_dump_json(indent=2), encoding="utf-8")
    new.replace(folder / f"{mute.id}.json")


def remove_mute(data: Path, mute: Mute) -> None:
    """End a mute before its time."""
    (data / FOLDER / f"{mute.id}.json").unlink(missing_ok=True)


def load_mutes(data: Path, now: datetime) -> list[Mute]:
    """Return the mutes that have not ended, the first that ends first; raises ConfigError."""
    mutes = [mute for mute in map(_load, (data / FOLDER).glob("*.json")) if mute is not None]
    return sorted((m for m in mutes if m.until > now), key=lambda m: (m.until, m.id))


def _load(path: Path) -> Mute | None:
    try:
        return Mute.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # ended by a person since it was listed
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{path}: {where}: {first['msg']}; mend the file or remove it"
        raise ConfigError(msg) from error


def identity(regression: str | None, check: str | None, names: Mapping[str, str]) -> str:
    """Return the id of the mute of a thing."""
    text = json.dumps([regression, check, dict(sorted(names.items()))])
    return sha256(text.encode()).hexdigest()[:8]


def end_of(text: str, now: datetime) -> datetime:
    """Read `7d`, `2026-12-01` or `2026-12-01T08:00`; raises ConfigError."""
    try:
        end = now + parse_duration(text)
    except ValueError:
        try:
            end = datetime.fromisoformat(text)
        except ValueError as error:
            msg = (
                f"--until: expected a duration such as 7d or a day such as 2026-12-01, not {text!r}"
            )
            raise ConfigError(msg) from error
    end = end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
    if end <= now:
        msg = f"--until: {end:%Y-%m-%d %H:%M} UTC is over already"
        raise ConfigError(msg)
    return end
