"""Mute and unmute, as the commands ask for it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from evalspan.config import ConfigError
from evalspan.pipeline._ask import NotFoundError, read_side_of
from evalspan.pipeline._mutes import Mute, add_mute, end_of, identity, load_mutes, remove_mute
from evalspan.pipeline._settings import Settings


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
    """Keep a mute of a regression, or of a check and a slice; raises ConfigError."""
    now = datetime.now(UTC)
    if not reason.strip():
        msg = "--reason: say why, for whoever wonders later"
        raise ConfigError(msg)
    found = _regression(settings, view, regression) if regression else None
    _require(settings, regression, check, names)
    made = Mute(
        id=identity(found, check, names),
        regression=found,
        check=check,
        slice=dict(names),
        reason=reason.strip(),
        created_time=now,
        until=end_of(until, now),
    )
    add_mute(settings.data, made)
    return made.model_dump()


def unmute(
    settings: Settings, *, start: str | None, check: str | None, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """End the mutes of a regression or with an id, or of a check and slice; returns them."""
    _require(settings, start, check, names)
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


def _require(
    settings: Settings, start: str | None, check: str | None, names: Mapping[str, str]
) -> None:
    if (start is None) == (check is None):
        msg = "name a regression by its id, or a check with --check; `evalspan detect` shows both"
        raise ConfigError(msg)
    if start is not None and names:
        msg = "--slice belongs to --check: a regression has its own slice"
        raise ConfigError(msg)
    if check is not None and check.partition("/")[0] not in (
        known := (*settings.checks, *settings.checklists)
    ):
        msg = f"there is no check {check!r}; known: {', '.join(known) or 'none'}"
        raise NotFoundError(msg)
    for name in names:
        if name not in settings.all_dimensions:
            known = settings.all_dimensions
            msg = f"there is no dimension {name!r}; known: {', '.join(known)}"
            raise ConfigError(msg)


def _regression(settings: Settings, view: str, start: str) -> str:
    rows = read_side_of(settings, view).regressions()
    held = rows.filter(pl.col("state") != "resolved", pl.col("id").str.starts_with(start))
    ids: Sequence[str] = held["id"].to_list()
    if len(ids) == 1:
        return str(ids[0])
    told = f"{len(ids)} ids start with {start!r}; give more of it" if ids else "nothing has this id"
    msg = f"{told}. `evalspan detect` shows what is not resolved"
    raise NotFoundError(msg)
