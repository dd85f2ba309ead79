"""What is said of the API key of the judges, by who judges and by who only reads."""

import polars as pl
import structlog

from evalspan.model import SCORES
from evalspan.pipeline._build import store_of
from evalspan.pipeline._check import missing_key
from evalspan.pipeline._settings import Settings

log = structlog.get_logger()


def warn_of_key(settings: Settings) -> None:
    """Log that judges are configured and this process, which asks them, has no key for them."""
    if missing_key(settings):
        log.warning(
            "judges_without_a_key",
            variable=settings.llm.api_key_env,
            judges=",".join(settings.checklists),
            why="every span that they are asked about gets an error; set the variable to an API "
            "key, or name another in llm.api_key_env",
        )


def key_is_missed(settings: Settings) -> str | None:
    """Return a warning if a judge may have no key: it broke for want of one, or said nothing yet.

    Who reads the scores needs no key, so that it is not set here says little by itself.
    """
    warning = missing_key(settings)
    if warning is None:
        return None
    newest = (
        store_of(settings)
        .scan(SCORES)
        .filter(
            pl.col("evaluator") == "judge",
            pl.col("check").is_in(list(settings.checklists)),
            pl.col("skipped").is_null(),
        )
        .group_by("check")
        .agg(pl.col("error").sort_by("evaluated_time").last())
        .collect()
    )
    wanting = newest["error"].str.contains(settings.llm.api_key_env, literal=True).any()
    return warning if wanting or newest.height < len(settings.checklists) else None
