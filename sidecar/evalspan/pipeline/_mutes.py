"""Mutes: what a person does not want to be told of for a while.

One small file each in the data folder, written whole and then put in place: two people who mute
and unmute at once cannot undo each other's work, and no process needs another one to be alive. A
mute ends by itself. What it covers is followed and kept in the tables as before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from evalspan.config import ConfigError, Strict, expected
from evalspan.pipeline._word import write_word

FOLDER = "mutes"


class Mute(Strict):
    """One mute: of a regression by its id, or of a check and a slice."""

    id: str
    regression: str | None = None
    check: str | None = None
    slice: dict[str, str] = Field(default_factory=dict)
    reason: str
    created_time: AwareDatetime
    until: AwareDatetime

    def covers(self, regression: str, check: str, names: Mapping[str, str]) -> bool:
        """Whether it is about this regression: the check, or its item, and at least the slice."""
        if self.regression is not None:
            return regression == self.regression
        same = self.check in (check, check.partition("/")[0])
        return same and all(names.get(key) == value for key, value in self.slice.items())


@dataclass(frozen=True, slots=True)
class Mutes:
    """The mutes that have not ended, and what is wrong with each file that is none."""

    mutes: tuple[Mute, ...]
    damaged: tuple[str, ...]


def add_mute(data: Path, mute: Mute) -> None:
    """Keep a mute; one about the same thing is replaced."""
    write_word(data / FOLDER / f"{mute.id}.json", mute.model_dump(mode="json"), sync=True)


def remove_mute(data: Path, mute: Mute) -> None:
    """End a mute before its time."""
    (data / FOLDER / f"{mute.id}.json").unlink(missing_ok=True)


def load_mutes(data: Path, now: datetime) -> tuple[Mute, ...]:
    """Return the mutes that have not ended, the first that ends first; raises ConfigError."""
    found = read_mutes(data, now)
    if found.damaged:
        raise ConfigError("\n".join(found.damaged))
    return found.mutes


def read_mutes(data: Path, now: datetime) -> Mutes:
    """Return the mutes that can be read, the first that ends first, and what is wrong with others.

    A damaged one covers nothing: an alarm too many is seen, one too few is not.
    """
    mutes, damaged = [], []
    for path in sorted((data / FOLDER).glob("*.json")):
        try:
            mutes.append(Mute.model_validate_json(path.read_bytes()))
        except FileNotFoundError:  # ended by a person since it was listed
            continue
        except (ValidationError, OSError) as error:
            damaged.append(f"{path}: {_why(error)}; mend the file or remove it")
    ahead = sorted((m for m in mutes if m.until > now), key=lambda m: (m.until, m.id))
    return Mutes(tuple(ahead), tuple(damaged))


def _why(error: ValidationError | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {expected(first)}" if where else expected(first)


def identity(regression: str | None, check: str | None, names: Mapping[str, str]) -> str:
    """Return the id of the mute of a thing."""
    text = json.dumps([regression, check, dict(sorted(names.items()))])
    return sha256(text.encode()).hexdigest()[:8]
