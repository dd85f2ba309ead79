"""Replay a prompt over cases and score the answers. Failures are rows."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl

from evalspan.optimize._case import Case, Output, Target, Tried
from evalspan.optimize._frames import Verdicts, read_scores, spans_frame, trials_frame
from evalspan.optimize._powers import Powers
from evalspan.optimize._settings import OptimizeError, TargetSettings
from evalspan.optimize._words import error_kind, nothing_answered

_ERROR_LIMIT = 500
_FIRST_CALLS = 10
"""So many calls that fail alike, and none that was answered: the others would fail as well."""
_NOT_CALLED = Output(error="not called: the calls before it all failed")


def variant_of(prompt: str) -> str:
    """Name of a prompt: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


class Replays:
    """Replays prompts and remembers every trial of the experiment."""

    def __init__(
        self,
        target: Target,
        powers: Powers,
        settings: TargetSettings,
        *,
        experiment: str,
        now: datetime,
    ) -> None:
        """Keep what is needed; `now` is the time of every row."""
        self._target = target
        self._powers = powers
        self._settings = settings
        self._experiment = experiment
        self._now = now
        self._tried: list[tuple[str, Tried]] = []
        self._first_errors: list[str] = []
        self._answers = False

    async def replay(self, prompt: str, cases: Sequence[Case], what: str) -> tuple[Tried, ...]:
        """Answer every case with the prompt, in their order; `what` is told as progress."""
        return (await self.replay_together([prompt], cases, what))[0]

    async def replay_together(
        self, prompts: Sequence[str], cases: Sequence[Case], what: str
    ) -> list[tuple[Tried, ...]]:
        """Answer every case with each prompt, case by case.

        The answers to one case are given at about the same time, so that a busy
        hour of the endpoint falls on all prompts alike. Raises OptimizeError where no
        call of the experiment was answered; then not all were made.
        """
        gate = asyncio.Semaphore(self._settings.concurrency)
        done, total = 0, len(cases) * len(prompts)

        async def one(prompt: str, case: Case) -> Output:
            nonlocal done
            async with gate:
                output = _NOT_CALLED if self._hopeless() else await self._answer(prompt, case)
            done += 1
            self._powers.progress(what, done, total)
            return output

        outputs = await asyncio.gather(*(one(p, case) for case in cases for p in prompts))
        if outputs and not self._answers:
            raise OptimizeError(nothing_answered(self._first_errors, total, self._settings))
        found = []
        for place, prompt in enumerate(prompts):
            tried = self._scored(prompt, cases, outputs[place :: len(prompts)])
            self._tried += [(variant_of(prompt), each) for each in tried]
            found.append(tried)
        return found

    @property
    def tried(self) -> list[Tried]:
        """Every answer so far."""
        return [each for _, each in self._tried]

    def frame(self) -> pl.DataFrame:
        """TRIALS: every answer so far with its verdicts."""
        return trials_frame(self._tried, self._experiment, self._now)

    async def _answer(self, prompt: str, case: Case) -> Output:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                output = await self._target(prompt, case=case)
        except Exception as error:  # noqa: BLE001 - whatever a target raises is a row
            output = Output(error=f"{type(error).__name__}: {error}"[:_ERROR_LIMIT])
        self._answers = self._answers or output.error is None
        if output.error is not None and not self._answers:
            self._first_errors.append(output.error)
        if output.duration_ms is None:
            return replace(output, duration_ms=1000 * (time.perf_counter() - start))
        return output

    def _hopeless(self) -> bool:
        """Whether all calls so far failed, enough of them, and alike."""
        if self._answers or len(self._first_errors) < _FIRST_CALLS:
            return False
        return len(set(map(error_kind, self._first_errors))) == 1

    def _scored(
        self, prompt: str, cases: Sequence[Case], outputs: Sequence[Output]
    ) -> tuple[Tried, ...]:
        answered = [(c, o) for c, o in zip(cases, outputs, strict=True) if o.error is None]
        verdicts, reasons = self._verdicts(prompt, answered)
        return tuple(
            Tried(
                case,
                output,
                verdicts.get(case.case_id, {}) if output.error is None else {},
                reasons.get(case.case_id, {}) if output.error is None else {},
                self._cost(output),
            )
            for case, output in zip(cases, outputs, strict=True)
        )

    def _verdicts(
        self, prompt: str, answered: Sequence[tuple[Case, Output]]
    ) -> tuple[Verdicts, Verdicts]:
        if not answered:
            return {}, {}
        spans = spans_frame(
            answered,
            prompt=prompt,
            variant=variant_of(prompt),
            experiment=self._experiment,
            model_name=self._settings.model,
            now=self._now,
        )
        return read_scores(self._powers.score(spans))

    def _cost(self, output: Output) -> float | None:
        used = (output.input_tokens, output.output_tokens)
        name = output.model or self._settings.model
        if self._powers.price is None or used[0] is None or used[1] is None or not name:
            return None
        return self._powers.price(name, used[0], used[1])
