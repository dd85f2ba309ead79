"""A small JSON file that one process leaves for another, or for itself after a restart.

A reader sees the word before or the one after, never half of one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()


def read_word(path: Path) -> dict[str, Any] | None:
    """Return a word; None if there is none or it is damaged, which is logged. Raises OSError.

    A crash of the machine can leave a file without content where nobody waited for the disk.
    """
    try:
        word = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:  # neither UTF-8 nor JSON, or nested too deep
        log.warning("word_damaged", file=str(path), why=str(error))
        return None
    if not isinstance(word, dict):
        log.warning("word_damaged", file=str(path), why=f"expected an object, not {word!r:.80}")
        return None
    return word


def write_word(path: Path, value: Mapping[str, Any], *, sync: bool) -> None:
    """Put a word in place of the one before; raises OSError.

    With `sync` it is on disk afterwards: what was decided by it may then be done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(json.dumps(value).encode())
        if sync:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the name of a file in it is on disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
