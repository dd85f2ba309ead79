"""What changed: every stream of verdicts through detect, and the states that are new to the tables.

What detect says is a function of the verdicts before the end of the last whole batch. So a look
costs a count of rows until the next batch ends, or until verdicts come late. While something is
not resolved, its check is read from where its history began when it was found: a change that
lasts does not slide out of the history and become its own baseline.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from evalspan import detect
from evalspan.model import REGRESSIONS, SCORES
from evalspan.pipeline._mutes import Mute, read_mutes
from evalspan.pipeline._settings import Settings
from evalspan.views import PROD, View

# States of what a person is to see to; muted, recovered and resolved are not.
FIRING: Final = ("open", "worsening")
TIME: Final = pl.Datetime("us", "UTC")
# The history begins anew so many batches apart: until then a look judges new batches only.
_STEP_BATCHES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GONE: Final = "Nothing of it is left in the history that is looked at."

Read = Callable[[str, str, datetime], pl.DataFrame]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one look found: all current states, and those that changed since the last look.

    A mute whose file is damaged covers nothing; `damaged_mutes` says which and why.
    """

    current: pl.DataFrame
    changed: pl.DataFrame
    damaged_mutes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What detect said of a stream of verdicts, and for which of them."""

    stamp: tuple[object, ...]
    rows: list[Row]
    memory: detect.Memory


class Detecting:
    """Looks for changes through one view, again and again."""

    def __init__(self, settings: Settings, view: View, read: Read) -> None:
        """`read` gives the verdicts of a check and item since a time."""
        self._settings = settings
        self._view = view
        self._read = read
        self._seen: dict[str, _Seen] = {}

    def changes(self, now: datetime, detecting: detect.DetectSettings) -> Changes:
        """Compare every stream; nothing is written."""
        known = self._view.regressions().collect().to_dicts()
        held = {row["id"]: row for row in known if row["state"] != "resolved"}
        found = self._found(now, detecting, list(held.values()))
        _keep_ids(found, held)
        rows = [*found, *_gone(found, held)]
        muted = read_mutes(self._settings.data, now)
        rows = [_muted(row, muted.mutes) | {"detected_time": now} for row in rows]
        before = {row["id"]: row for row in known}
        news = [row for row in rows if _is_news(row, before.get(row["id"]))]
        return Changes(_frame(rows), _frame(news), muted.damaged)

    def until(self, now: datetime) -> datetime:
        """Return the end of the last batch that is whole, and had time to settle."""
        every = self._settings.detect.every
        return _EPOCH + (now - self._settings.settle.idle - _EPOCH) // every * every

    def since(self, now: datetime, held: Sequence[Mapping[str, Any]] = ()) -> datetime:
        """Return where the history begins, whole batches; earlier for what is not resolved."""
        step = _STEP_BATCHES * self._settings.detect.every
        begin: datetime = _EPOCH + (now - self._settings.analysis.history - _EPOCH) // step * step
        starts: list[datetime] = [r["history_start"] for r in held if r.get("history_start")]
        return min([begin, *starts])

    def _found(
        self, now: datetime, detecting: detect.DetectSettings, held: Sequence[Row]
    ) -> list[Row]:
        until = self.until(now)
        rows: list[Row] = []
        seen: dict[str, _Seen] = {}
        for check, item, count in self._counts(now, until):
            name = f"{check}/{item}" if item else check
            since = self.since(now, [row for row in held if row["check"] == name])
            stamp = (since, until, count)
            known = self._seen.get(name)
            if known is None or known.stamp != stamp:
                verdicts = self._read(check, item, since).filter(pl.col("time") < until)
                memory = known.memory if known else detect.Memory()
                known = _Seen(stamp, self._states(verdicts, name, since, detecting, memory), memory)
            seen[name] = known
            rows += known.rows
        self._seen = seen
        return [dict(row) for row in rows]

    def _counts(self, now: datetime, until: datetime) -> list[tuple[str, str, int]]:
        """Return check, item and number of verdicts of the history; cheap, without the view."""
        since = self.since(now)
        frame = self._view.scan(SCORES).filter(
            pl.col("verdict").is_not_null(), pl.col("time") >= since, pl.col("time") < until
        )
        counts = frame.group_by("check", "item").agg(n=pl.len()).sort("check", "item")
        return [(check, item or "", n) for check, item, n in counts.collect().iter_rows()]

    def _states(
        self,
        verdicts: pl.DataFrame,
        name: str,
        since: datetime,
        detecting: detect.DetectSettings,
        memory: detect.Memory,
    ) -> list[Row]:
        # the same rows may be seen through two views
        identity = name if self._view.name == PROD else f"{self._view.name}:{name}"
        found = detect.detect(verdicts, detecting.of(name), identity, memory)
        more = {"check": name, "view": self._view.name, "history_start": since}
        return [row | more for row in found.to_dicts()]


def _keep_ids(found: Sequence[Row], held: Mapping[str, Row]) -> None:
    """Give what was found under a new id the id of what is known to be the same.

    Verdicts that come late may move the batch at which something opened, which is in the id.
    """
    ids = {row["id"] for row in found}
    free = [row for name, row in held.items() if name not in ids]
    for row in found:
        if row["id"] in held or row["state"] == "resolved":
            continue
        same = next((other for other in free if _same(row, other)), None)
        if same is not None:
            row["id"] = same["id"]
            free.remove(same)


def _same(one: Row, other: Row) -> bool:
    names = ("check", "kind", "direction", "slice", "version_dimension", "new")
    if any(one[name] != other[name] for name in names):
        return False
    return bool(
        one["change_low"] <= other["change_high"] and other["change_low"] <= one["change_high"]
    )


def _gone(found: Sequence[Row], held: Mapping[str, Row]) -> list[Row]:
    """Return as resolved what was held and is not found any more."""
    ids = {row["id"] for row in found}
    return [
        row | {"state": "resolved", "reason": _GONE, "state_time": None}
        for row in held.values()
        if row["id"] not in ids
    ]


def _muted(row: Row, mutes: Sequence[Mute]) -> Row:
    """Return the row, muted if it would be told and a person wants it otherwise."""
    if row["state"] not in FIRING:
        return row | {"mute_reason": None, "mute_until": None}
    for mute in mutes:
        if mute.covers(row["id"], row["check"], json.loads(row["slice"] or "{}")):
            told = f" Muted until {mute.until:%Y-%m-%d %H:%M} UTC: {mute.reason}"
            more = {"mute_reason": mute.reason, "mute_until": mute.until}
            return row | more | {"state": "muted", "reason": (row["reason"] or "") + told}
    return row | {"mute_reason": None, "mute_until": None}


def _is_news(row: Row, known: Row | None) -> bool:
    if known is None:
        return bool(row["state"] != "resolved")
    if row["state"] != known["state"]:
        return True
    before = known.get("state_time")
    fell_again = row["state"] == "worsening" and before is not None
    return bool(fell_again and row["state_time"] > before)


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    schema = pl.DataFrame(pl.from_arrow(REGRESSIONS.empty())).schema
    return pl.DataFrame(list(rows), schema=schema, orient="row")
