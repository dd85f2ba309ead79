"""Optimize: propose prompt changes, replay them over cases of production, prove one.

Comes in: spans and scores of a view, from which `build_cases` takes CASES; the
current prompt; the check that is to get better; the powers of other rooms (score
an answer, ask a model, price a call).
Goes out: `Optimized`: an `Outcome` that says accepted, accepted with reservations
or rejected and why, with the frames CASES and TRIALS.
Settings: `OptimizeSettings`.

Cases are split before anything is looked at. Mutators see the search part only
(`SearchCases` cannot hold anything else); the holdout is replayed once, at the
end, for the current prompt and the finalists, and only the proposal that was
best in the search can be accepted. The current prompt is replayed as well, so
before and after are answers of the same day to the same cases.
"""

import hashlib
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from evalspan.optimize._case import (
    Case,
    Message,
    Output,
    Proposal,
    SearchCases,
    Target,
    Tried,
)
from evalspan.optimize._outcome import (
    Accepted,
    Change,
    Comparison,
    Judgement,
    Outcome,
    Rejected,
    Resource,
)
from evalspan.optimize._powers import Powers, Progress, Score
from evalspan.optimize._propose import PACKAGE as MUTATORS
from evalspan.optimize._propose import Meter, load_mutator
from evalspan.optimize._prove import outcome, prove
from evalspan.optimize._replay import Replays, variant_of
from evalspan.optimize._search import Job, search
from evalspan.optimize._select import build_cases, cases_of
from evalspan.optimize._settings import (
    MutatorSettings,
    OptimizeError,
    OptimizeSettings,
    TargetSettings,
)
from evalspan.plugin import load

TARGETS = "evalspan.optimize.targets"

__all__ = [
    "MUTATORS",
    "TARGETS",
    "Accepted",
    "Case",
    "Change",
    "Comparison",
    "Judgement",
    "Message",
    "MutatorSettings",
    "OptimizeError",
    "OptimizeSettings",
    "Optimized",
    "Outcome",
    "Output",
    "Powers",
    "Progress",
    "Proposal",
    "Rejected",
    "Resource",
    "Score",
    "SearchCases",
    "Target",
    "TargetSettings",
    "Tried",
    "build_cases",
    "optimize",
]


@dataclass(frozen=True, slots=True)
class Optimized:
    """The outcome, and the rows of CASES and TRIALS to store."""

    outcome: Outcome
    cases: pl.DataFrame
    trials: pl.DataFrame


async def optimize(
    cases: pl.DataFrame,
    prompt: str,
    check: str,
    settings: OptimizeSettings,
    powers: Powers,
    *,
    now: datetime,
    finding: str = "",
) -> Optimized:
    """Search for a prompt that makes `check` better, and prove it on the holdout.

    `cases` are rows of CASES with both splits, `prompt` the current system
    prompt, `finding` the cause in words for mutators that can read. Raises
    OptimizeError and PluginError before the first call, and OptimizeError where no
    call was answered: after the first few that fail alike no more are made. Otherwise
    failures of targets and mutators are rows and lines of the outcome.
    """
    every = cases_of(cases)
    parts = {name: [each for each in every if each.split == name] for name in _PARTS}
    if not all(parts.values()) or len(every) != sum(map(len, parts.values())):
        counts = ", ".join(f"{len(each)} of {name}" for name, each in parts.items())
        msg = f"cases of both parts are needed, search and holdout; got {counts}"
        raise OptimizeError(msg)
    dataset = str(cases["dataset"][0])
    experiment = _experiment(dataset, check, prompt, settings, now)
    mutators = [load_mutator(each, powers) for each in settings.mutators]
    ask = Meter(powers.ask)
    job = Job(prompt, check, finding, settings, mutators, ask, len(parts["holdout"]))
    least = 2 * len(parts["search"]) + job.proof_replays
    if least > settings.max_replays:
        msg = f"{len(every)} cases take at least {least} replays; raise max_replays or lower cases"
        raise OptimizeError(msg)
    async with _connect(settings.target, powers) as target:
        replays = Replays(target, powers, settings.target, experiment=experiment, now=now)
        found = await search(parts["search"], job, replays)
        proof = await prove(found, parts["holdout"], job, replays)
    result = outcome(
        found, proof, job, replays, every, experiment=experiment, dataset=dataset, now=now
    )
    return Optimized(result, cases, replays.frame())


_PARTS = ("search", "holdout")


def _experiment(
    dataset: str, check: str, prompt: str, settings: OptimizeSettings, now: datetime
) -> str:
    parts = [dataset, check, variant_of(prompt), settings.model_dump_json(), now.isoformat()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@asynccontextmanager
async def _connect(settings: TargetSettings, powers: Powers) -> AsyncIterator[Target]:
    """Yield the target that was handed in, else the one of the settings."""
    if powers.target is not None:
        yield powers.target
        return
    plugin = load(TARGETS, settings.use, powers.folder)
    if next(iter(inspect.signature(plugin.function).parameters), "") == "settings":
        async with plugin.function(settings) as target:
            yield target
    else:
        yield plugin.function
