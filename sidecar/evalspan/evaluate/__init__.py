"""Evaluate: ask every check about the spans of settled traces.

In: the frame of a settlement (SPANS, a column per dimension, `attempt`, `counts`,
`root`). Out: SCORES, and the counts for the ledger: expected = done + skipped
(duplicate, filter, sampled) + error for every check.

A check is a function in a file of its name under `checks/`, or the user's own
(`use: module:function`). The name of its first parameter says what it reads:
`spans` (a frame of whole traces, of what settled together some thousands of spans at a
time; returns a frame of value, passed, reason, evidence of the same height), `span` (one
`SpanView`; returns a Verdict, bool, number, None or a dict of item → one of those) or
`trace` (a `TraceView`; the row goes to the root, and when a late span makes another one
the root, the later row counts). Its keyword parameters are its settings; one named
`prices` or `folder` is filled in. Built-in checks are not handed what takes most of the memory
of a span (attributes, links, resource, scope, messages), users' own are: see `Evaluator.reads`.
`MATCH` in its module is the condition if the config gives none; `FILES` names the
settings that may be a path, `LIBRARIES` the packages that decide with it.

The user's own functions are imported here once, to read their settings, and run in
another process with a time limit for each call. What raises, hangs, dies or returns
nonsense gives a row with `error`, the process is started again, and the rest goes on;
after three losses in one batch the rest of that batch is not asked.

A checklist is answered by a judge, see `judge`; `expect` counts beforehand for the ledger.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evalspan.config import ConfigError
from evalspan.evaluate._check import BUILT_IN, Problem, Surroundings, prepare
from evalspan.evaluate._choice import Count, Evaluated, asks_of
from evalspan.evaluate._evaluator import Evaluator, InlineVerdict
from evalspan.evaluate._judge import expect, judge
from evalspan.evaluate._prices import Prices
from evalspan.evaluate._questions import Checklist, prepare_checklist
from evalspan.evaluate._settings import ChecklistSettings, CheckSettings, ModelPrice, Question

__all__ = [
    "BUILT_IN",
    "CheckSettings",
    "Checklist",
    "ChecklistSettings",
    "Count",
    "Evaluated",
    "Evaluator",
    "InlineVerdict",
    "ModelPrice",
    "Prices",
    "Problem",
    "Question",
    "asks_of",
    "build",
    "build_checklists",
    "expect",
    "judge",
    "validate",
]


def build(
    checks: Mapping[str, CheckSettings],
    *,
    folder: Path,
    dimensions: Sequence[str] = (),
    prices: Prices | None = None,
) -> Evaluator:
    """Make the checks ready; raises ConfigError with one line per mistake.

    `checks`: name → settings. `folder`: where the config file is; the user's
    modules and schema files are looked for there. `dimensions`: their names.
    """
    around = Surroundings(folder, tuple(dimensions), prices or Prices())
    made = [prepare(name, given, around) for name, given in checks.items()]
    if problems := [problem for _, found in made for problem in found]:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    ready = [check for check, _ in made if check is not None]
    return Evaluator(ready, folder, dimensions, around.prices)


def build_checklists(
    checklists: Mapping[str, ChecklistSettings],
    *,
    model: str,
    dimensions: Sequence[str] = (),
) -> dict[str, Checklist]:
    """Make checklists ready for `judge`; raises ConfigError with one line per mistake.

    `model` answers where a checklist names none.
    """
    made = {
        name: prepare_checklist(name, given, model=model, dimensions=dimensions)
        for name, given in checklists.items()
    }
    if problems := [problem for _, found in made.values() for problem in found]:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    return {name: checklist for name, (checklist, _) in made.items() if checklist is not None}


def validate(
    checks: Mapping[str, CheckSettings],
    checklists: Mapping[str, ChecklistSettings] | None = None,
    *,
    folder: Path,
    dimensions: Sequence[str] = (),
    prices: Prices | None = None,
) -> list[Problem]:
    """Return the mistakes that the types of the config cannot see.

    Each has the path of keys (`checks` or `checklists`, NAME, key), so that file and
    line can be named.
    """
    around = Surroundings(folder, tuple(dimensions), prices or Prices())
    problems = [p for name, given in checks.items() for p in prepare(name, given, around)[1]]
    for name, given in (checklists or {}).items():
        problems += prepare_checklist(name, given, model="", dimensions=dimensions)[1]
        if name in checks:
            problems.append(Problem(("checklists", name), "a check has this name already"))
    return problems
