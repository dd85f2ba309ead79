"""Mute and unmute, as the commands ask for it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from evalspan.config import ConfigError, nearest
from evalspan.model import SCORES
from evalspan.pipeline._ask import (
    NotFoundError,
    read_side_of,
    require_check,
    require_dimensions,
)
from evalspan.pipeline._mutes import Mute, add_mute, identity, load_mutes, remove_mute
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._when import after
from evalspan.views import View


def mute(
    settings: Settings,
    view: str,
    *,
    regression: str | None,
    check: str | None,
    names: Mapping[str, str],
    reason: str,
    until: str,
) -> dict[str, Any]:
    """Keep a mute of a regression, or of a check and a slice; raises ConfigError.

    The row returned has `notes` beside the mute: what of its slice no verdict has had so far.
    """
    now = datetime.now(UTC)
    if not reason.strip():
        msg = "--reason: say why, for whoever wonders later"
        raise ConfigError(msg)
    _require(regression, check, names)
    require_dimensions(settings, names)
    side = read_side_of(settings, view)
    if check is not None:
        require_check(settings, side.view, check.partition("/")[0])
    found = _regression(side, regression) if regression else None
    made = Mute(
        id=identity(found, check, names),
        regression=found,
        check=check,
        slice=dict(names),
        reason=reason.strip(),
        created_time=now,
        until=after(now, "--until", until),
    )
    add_mute(settings.data, made)
    return {**made.model_dump(), "notes": _unseen(side.view, check, names)}


def unmute(
    settings: Settings, *, start: str | None, check: str | None, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """End the mutes of a regression or with an id, or of a check and slice; returns them."""
    _require(start, check, names)
    mutes = load_mutes(settings.data, datetime.now(UTC))
    ended = [m for m in mutes if _is_meant(m, start, check, names)]
    if not ended:
        known = ", ".join(m.id for m in mutes) or "none"
        msg = f"there is no such mute; ids: {known}. `evalspan detect mute --list` shows them"
        raise NotFoundError(msg)
    for each in ended:
        remove_mute(settings.data, each)
    return [each.model_dump() for each in ended]


def mutes(settings: Settings) -> list[dict[str, Any]]:
    """Return the mutes that have not ended, the first that ends first."""
    return [each.model_dump() for each in load_mutes(settings.data, datetime.now(UTC))]


def _is_meant(each: Mute, start: str | None, check: str | None, names: Mapping[str, str]) -> bool:
    if start is not None:
        return any(name.startswith(start) for name in (each.id, each.regression or "-"))
    return each.check == check and each.slice == dict(names)


def _require(start: str | None, check: str | None, names: Mapping[str, str]) -> None:
    if (start is None) == (check is None):
        msg = "name a regression by its id, or a check with --check; `evalspan detect` shows both"
        raise ConfigError(msg)
    if start is not None and names:
        msg = "--slice belongs to --check: a regression has its own slice"
        raise ConfigError(msg)


def _unseen(view: View, check: str | None, names: Mapping[str, str]) -> list[str]:
    """Return a sentence for each value that no verdict of the check has had, with the nearest."""
    notes = []
    of_check = view.scan(SCORES).filter(pl.col("check") == (check or "").partition("/")[0])
    for name, value in names.items():
        built_in = BUILT_IN.get(name)
        column = pl.col(built_in) if built_in else pl.col("dimensions").map.get(name)
        seen = of_check.select(column.alias(name)).unique().collect()[name].drop_nulls().to_list()
        if value not in seen:
            notes.append(
                f"no verdict of {check} has had {name}={value} so far.{nearest(value, seen)}"
            )
    return notes


def _regression(side: ReadSide, start: str) -> str:
    rows = side.regressions()
    held = rows.filter(pl.col("state") != "resolved", pl.col("id").str.starts_with(start))
    ids: Sequence[str] = held["id"].to_list()
    if len(ids) == 1:
        return str(ids[0])
    told = f"{len(ids)} ids start with {start!r}; give more of it" if ids else "nothing has this id"
    msg = f"{told}. `evalspan detect` shows what is not resolved"
    raise NotFoundError(msg)
