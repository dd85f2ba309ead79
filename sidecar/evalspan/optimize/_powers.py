"""What optimize is handed, since it reaches into no other room by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from evalspan.llm import Ask, Price
from evalspan.optimize._case import Target

Score = Callable[[pl.DataFrame], pl.DataFrame]
"""Verdicts of replayed answers.

Comes in: one row per answer with the columns of SPANS, one String column per
dimension, `attempt`, `counts`, `root` and `case_id`. Goes out: `case_id`,
`check`, `verdict` (pass, fail, null), `reason`, and if there is one `error`.
"""
Progress = Callable[[str, int, int], None]
"""Told (what is done, how much of it, of how much)."""


def _silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Powers:
    """Functions of other rooms and the outside.

    Without `ask` mutators that need a model fail, which is told in the outcome.
    `target` replaces the target of the settings; `folder` holds the user's modules.
    """

    score: Score
    ask: Ask | None = None
    price: Price | None = None
    target: Target | None = None
    folder: Path | None = None
    progress: Progress = _silent
