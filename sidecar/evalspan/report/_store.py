"""Reports as JSON files, one each, written atomically."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from evalspan.report._document import Report


@dataclass(frozen=True, slots=True)
class Stored:
    """The reports of a folder, newest first, and the files that cannot be read with the reason."""

    reports: tuple[Report, ...]
    unreadable: tuple[tuple[str, str], ...]


def save(report: Report, folder: Path) -> Path:
    """Write a report to `folder`; one of the same id is replaced. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.id}.json"
    write_atomically(path, (report.model_dump_json(indent=1) + "\n").encode())
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, also after a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_one(folder: Path, identity: str) -> Report | None:
    """Read the report of an id; None where there is none that can be read."""
    try:
        return Report.model_validate_json((folder / f"{identity}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def load_all(folder: Path) -> Stored:
    """Read every report of a folder; a folder that is not there holds none."""
    found = list(_read(folder))
    reports = [each for each in found if isinstance(each, Report)]
    reports.sort(key=lambda each: (each.created_time, each.id), reverse=True)
    return Stored(tuple(reports), tuple(each for each in found if not isinstance(each, Report)))


def _read(folder: Path) -> Iterator[Report | tuple[str, str]]:
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            yield Report.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            yield path.name, f"{type(error).__name__}: {str(error)[:300]}"
