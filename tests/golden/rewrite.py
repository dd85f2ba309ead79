"""Write the rows of the captured requests, one line each: `python tests/golden/rewrite.py`.

Read the diff before committing it: it is what a change does to real spans. Long
texts are cut and closed with their length and a hash, so that they differ
whenever the text does.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "sidecar")]

from otlp_requests import HERE, captured, label, record_of  # noqa: E402 - needs the path

from evalspan.decode import decode  # noqa: E402 - needs the path
from evalspan.normalize import messages_from_events, normalize  # noqa: E402 - needs the path

ROWS = HERE / "rows"
LONGEST = 160
# The same on every span, or no fact about the dialect.
LEFT_OUT = {"resource", "received_time", "segment", "start_nanos", "end_nanos"}


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Return the rows that a captured request comes out as."""
    normalized = normalize(decode([record_of(path)], segment=1))
    for row in normalized.spans.to_pylist():
        yield {"capture": label(path), **_readable(row)}
    if path.name.endswith(".logs.binpb"):
        for row in normalized.events.to_pylist():
            yield {"capture": label(path), **_readable(row)}
        joined = messages_from_events(pl.DataFrame(pl.from_arrow(normalized.events)))
        for row in joined.to_dicts():
            yield {"capture": label(path), "joined": True, **_readable(row)}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    held = {k: v for k, v in row.items() if v is not None and k not in LEFT_OUT}
    held["attributes"] = sorted(a["key"] for a in held.pop("attributes", None) or ())
    return {key: _short(value) for key, value in held.items()}


def _short(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and len(value) > LONGEST:
        digest = hashlib.sha256(value.encode()).hexdigest()[:8]
        return f"{value[:LONGEST]}… ({len(value)} characters, {digest})"
    return value


def rows() -> dict[Path, str]:
    """Return the text of each file of rows."""
    paths = sorted([*captured("traces"), *captured("logs")])
    return {
        ROWS / f"{folder}.jsonl": "".join(
            json.dumps(row, ensure_ascii=False, sort_keys=False, default=str) + "\n"
            for path in group
            for row in rows_of(path)
        )
        for folder, group in groupby(paths, key=_folder)
    }


def _folder(path: Path) -> str:
    return path.parent.name


def main() -> None:
    """Rewrite all rows."""
    ROWS.mkdir(exist_ok=True)
    for old in ROWS.glob("*.jsonl"):
        old.unlink()
    for path, text in rows().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
