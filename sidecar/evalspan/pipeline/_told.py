"""What was told to whom: an empty file for each, so that processes need no turns at one file."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Told:
    """Notes in a folder. A lost note is a repeat, never a loss."""

    folder: Path

    def is_noted(self, key: str, to: str) -> bool:
        """Whether this was told."""
        return self._file(key, to).exists()

    def note(self, key: str, to: str) -> None:
        """Note that it was told; raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file(key, to).touch()

    def forget(self, before: datetime) -> None:
        """Drop notes of what is older than anything that is looked at."""
        for file in self.folder.glob("*.*"):
            if file.stat().st_mtime < before.timestamp():
                file.unlink(missing_ok=True)

    def _file(self, key: str, to: str) -> Path:
        return self.folder / f"{key}.{to}"
