"""Scorer of the recorded streams; the only reader of their truth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

SECONDS_A_DAY = 86_400.0
STRONG_OVERALL = -4.0
FINDABLE_SLICE = 4.0
GATED_SLICE = 5.0
RAMP_GRACE_DAYS = 0.5
TRUE_FALL = -0.02
SAME_SLICE = 0.5
SLICE_KINDS = ("slice_1", "slice_2", "simpson")

Truth = dict[str, Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What the detector said of one stream: states at the end, and slices ranked when asked."""

    scenario: str
    events: pl.DataFrame
    states: pl.DataFrame
    ranked: list[str]

    def opened(self, *kinds: str, direction: str = "regression") -> pl.DataFrame:
        """States of a direction and of kinds with the time of opening in days."""
        day = pl.col("opened_time").dt.timestamp("us") / 1e6 / SECONDS_A_DAY
        return self.states.with_columns(day=day).filter(
            (pl.col("direction") == direction) & pl.col("kind").is_in(kinds or ("time", "version"))
        )

    def rows(self, name: str) -> Mask:
        """Rows of a slice."""
        mask = np.ones(self.events.height, dtype=np.bool_)
        for key, value in json.loads(name).items():
            mask &= (self.events[key] == str(value)).fill_null(value=False).to_numpy()
        return mask


@dataclass(frozen=True)
class Case:
    """A stream's outcome with its truth."""

    outcome: Outcome
    truth: Truth
    rates: dict[tuple[str, str], dict[tuple[str, str | None], float]]

    @property
    def change_day(self) -> float:
        """Day of the true change."""
        return float(self.truth["change_ts"]) / SECONDS_A_DAY

    def alarm_day(self, *, overall: bool = False, part: bool = False) -> float | None:
        """Day of the first regression after the change; None if none, or if one was before."""
        states = self.outcome.opened()
        if overall:
            states = states.filter(pl.col("slice") == "{}")
        if part:
            states = states.filter(pl.col("slice") != "{}")
        days = states["day"].to_list()
        if not days or min(days) < self.change_day:
            return None
        return float(min(days))

    def overlap(self, name: str) -> float:
        """Jaccard overlap of a slice with the true one."""
        true = self.outcome.rows(json.dumps(self.truth["slice"]))
        rows = self.outcome.rows(name)
        both, either = int((rows & true).sum()), int((rows | true).sum())
        return both / max(either, 1)

    def true_fall(self, name: str) -> float:
        """Mean true change of the rows of a slice after the change, at the same cases."""
        keys = self.outcome.events.select("category", "n_tools").rows()
        before, after = (
            self.rates[tuple(self.truth[side])] for side in ("true_base", "true_other")
        )
        change = np.array([after[key] - before[key] for key in keys])
        if self.truth["kind"] in SLICE_KINDS:
            change[~self.outcome.rows(json.dumps(self.truth["slice"]))] = 0.0
        later = self.outcome.events["time"].dt.timestamp("us").to_numpy() / 1e6
        rows = self.outcome.rows(name) & (later >= self.truth["change_ts"])
        return float(change[rows].mean()) if rows.any() else 0.0


def score(
    data: Path, outcomes: list[Outcome], permuted: list[tuple[str, pl.DataFrame]]
) -> dict[str, float | int | str]:
    """All figures over all streams."""
    lines = (data / "scenario_truth.jsonl").read_text(encoding="utf-8").splitlines()
    truths = {truth["scenario"]: truth for truth in map(json.loads, lines)}
    rates = true_rates(data, list(truths.values()))
    cases = [Case(outcome, truths[outcome.scenario], rates) for outcome in outcomes]
    nulls = [case for case in cases if not case.truth["change"]]
    return {
        "streams": len(cases),
        "false_alarm_rate": share([case.outcome.states.height > 0 for case in nulls]),
        "false_alarm_rate_permuted": share(
            [false_alarm(states, truths[name]) for name, states in permuted]
        ),
        "permuted_streams": len(permuted),
        **power(cases),
        **mix(cases),
        **slices(cases),
        "improvement_errors": sum(
            improvement_error(c) for c in cases if c.truth["kind"] == "improvement"
        ),
        "null_slice_alarm_rate": share(
            [(case.outcome.states["slice"] != "{}").any() for case in nulls]
        ),
        "slice_precision": share([right for case in cases for right in reported(case)]),
    }


def share(hits: list[bool]) -> float:
    """Share of hits; NaN is avoided, no case counts as 0."""
    return float(np.mean(hits)) if hits else 0.0


def false_alarm(states: pl.DataFrame, truth: Truth) -> bool:
    """Whether a permuted stream alarmed; its mix is as it was, so a true mix shift is none."""
    mixed = truth["kind"] in ("mix_shift", "simpson")
    return states.filter(~((pl.col("kind") == "mix") & mixed)).height > 0


def power(cases: list[Case]) -> dict[str, float | int | str]:
    """Strong regressions found, delay, ramps."""
    strong = [c for c in cases if c.truth["regression"] and c.truth["z_overall"] <= STRONG_OVERALL]
    sudden = [c for c in strong if c.truth["ramp_end_ts"] is None]
    delays = [day - c.change_day for c in sudden if (day := c.alarm_day()) is not None]
    ramps = [c for c in strong if c.truth["ramp_end_ts"] is not None]
    return {
        "strong_regressions": len(strong),
        "power": share([c.alarm_day() is not None for c in strong]),
        "power_overall_version": share([c.alarm_day(overall=True) is not None for c in strong]),
        "median_delay_days": float(np.median(delays)) if delays else -1.0,
        "ramps_in_time": share([ramp_in_time(c) for c in ramps]),
    }


def ramp_in_time(case: Case) -> bool:
    """Alarmed between the change and half a day after the end of the ramp."""
    day = case.alarm_day()
    end = float(case.truth["ramp_end_ts"]) / SECONDS_A_DAY + RAMP_GRACE_DAYS
    return day is not None and day <= end


def mix(cases: list[Case]) -> dict[str, float | int | str]:
    """Mix shifts named as such, and their amount."""
    shifted = [case for case in cases if case.truth["kind"] == "mix_shift"]
    named = [(case, amount) for case in shifted if (amount := named_amount(case)) is not None]
    return {
        "mix_named": share([named_amount(case) is not None for case in shifted]),
        "mix_amount_ok": share([amount_ok(case, amount) for case, amount in named]),
    }


def named_amount(case: Case) -> float | None:
    """Amount of the mix finding with the right sign, unless a regression within is open."""
    found = case.outcome.opened("mix", direction="mix_shift")["mix_amount"].to_list()
    inside = case.outcome.opened().filter(pl.col("state") == "open")
    truth = case.truth["kitagawa_category"]["mix"]
    right = [amount for amount in found if amount * truth > 0]
    return float(right[-1]) if right and inside.is_empty() else None


def amount_ok(case: Case, amount: float) -> bool:
    """Within .01 and two standard errors, bootstrapped at the true change time."""
    error = bootstrap_error(case)
    true = float(case.truth["kitagawa_category"]["mix"])
    return abs(amount - true) <= 0.01 + 2 * error


def bootstrap_error(case: Case, draws: int = 200) -> float:
    """Standard error of Kitagawa's mix over category at the true change time."""
    events = case.outcome.events
    late = events["time"].dt.timestamp("us").to_numpy() / 1e6 >= case.truth["change_ts"]
    codes = events["category"].rank("dense").cast(pl.Int64).to_numpy() - 1
    passed = events["score"].to_numpy()
    generator = np.random.default_rng(0)
    amounts = []
    for _ in range(draws):
        rows = generator.integers(0, len(codes), len(codes))
        amounts.append(kitagawa_mix(codes[rows], passed[rows], late[rows]))
    return float(np.std(amounts))


def kitagawa_mix(codes: NDArray[np.int64], passed: NDArray[np.float64], late: Mask) -> float:
    """Σ(w1 − w0)·(r0 + r1)/2 over categories."""
    width = int(codes.max()) + 1
    n1, n0 = (np.bincount(codes[side], minlength=width) for side in (late, ~late))
    k1, k0 = (np.bincount(codes[s], passed[s], minlength=width) for s in (late, ~late))
    pooled = (k1 + k0) / np.maximum(n1 + n0, 1)
    r1 = np.where(n1 > 0, k1 / np.maximum(n1, 1), pooled)
    r0 = np.where(n0 > 0, k0 / np.maximum(n0, 1), pooled)
    return float((n1 / n1.sum() - n0 / n0.sum()) @ (r1 + r0) / 2)


def slices(cases: list[Case]) -> dict[str, float | int | str]:
    """Slices ranked when asked, and alarmed end to end."""
    local = [c for c in cases if c.truth["kind"] in SLICE_KINDS]
    asked = [c for c in local if abs(c.truth["z_slice"]) >= FINDABLE_SLICE]
    gated = [c for c in local if abs(c.truth["z_slice"]) >= GATED_SLICE]
    alarmed = [c for c in gated if c.alarm_day(part=True) is not None]
    firsts = [c.overlap(c.outcome.ranked[0]) if c.outcome.ranked else 0.0 for c in asked]
    return {
        "slices_asked": len(asked),
        "slice_top1": share([first == 1.0 for first in firsts]),
        "slice_top3": share([any(same(c, name) for name in c.outcome.ranked[:3]) for c in asked]),
        "slice_first_jaccard": float(np.mean(firsts)) if firsts else 0.0,
        "slices_gated": len(gated),
        "slice_alarmed_z5": share([c.alarm_day(part=True) is not None for c in gated]),
        "slice_top1_of_alarmed_z5": share([same(c, first_named(c)) for c in alarmed]),
        "simpson_found": share([simpson_found(c) for c in gated if c.truth["kind"] == "simpson"]),
    }


def same(case: Case, name: str) -> bool:
    """Whether a slice has the rows of the true one."""
    return case.overlap(name) >= 1.0


def first_named(case: Case) -> str:
    """The slice with the most evidence among the reported ones, less one nat per attribute."""
    states = case.outcome.opened().filter(pl.col("slice") != "{}").to_dicts()
    best = max(states, key=lambda s: s["evidence_nats"] - len(json.loads(s["slice"])))
    return str(best["slice"])


def simpson_found(case: Case) -> bool:
    """A slice state opened after the change, about the true slice."""
    names = case.outcome.opened().filter(pl.col("slice") != "{}")["slice"].to_list()
    return case.alarm_day(part=True) is not None and any(
        case.overlap(name) >= SAME_SLICE for name in names
    )


def improvement_error(case: Case) -> bool:
    """A regression of everything, or of a slice whose true rate did not fall."""
    names = case.outcome.opened()["slice"].to_list()
    return any(name == "{}" or case.true_fall(name) >= 0 for name in names)


def reported(case: Case) -> list[bool]:
    """For each slice ever reported as a regression: is it the true one, or did it truly fall?"""
    states = case.outcome.opened().filter(pl.col("slice") != "{}")
    return [right_slice(case, row["slice"], row["day"]) for row in states.iter_rows(named=True)]


def right_slice(case: Case, name: str, day: float) -> bool:
    """Opened after the change and about the true slice, or about rows that truly fell."""
    if not case.truth["change"] or case.truth["true_other"] is None or day < case.change_day:
        return False
    local = case.truth["kind"] in SLICE_KINDS
    return (local and case.overlap(name) >= SAME_SLICE) or case.true_fall(name) <= TRUE_FALL


def true_rates(
    data: Path, truths: list[Truth]
) -> dict[tuple[str, str], dict[tuple[str, str | None], float]]:
    """Pass rate per (category, n_tools) of each model and snapshot named in the truth."""
    wanted = {
        tuple(truth[side])
        for truth in truths
        for side in ("true_base", "true_other")
        if truth[side]
    }
    columns = ["model", "snapshot", "category", "idx", "valid"]
    records = pl.read_parquet(data / "records.parquet", columns=columns).with_columns(
        pl.col(pl.Categorical).cast(pl.String)
    )
    cases = pl.read_parquet(data.parent / "cases.parquet", columns=["category", "idx", "n_tools"])
    joined = records.join(cases, on=["category", "idx"], how="left")
    means = joined.group_by("model", "snapshot", "category", "n_tools").agg(pl.col("valid").mean())
    rates: dict[tuple[str, str], dict[tuple[str, str | None], float]] = {key: {} for key in wanted}
    for model, snapshot, category, tools, rate in means.iter_rows():
        if (model, snapshot) in rates:
            tools_text = None if tools is None else str(tools)
            rates[model, snapshot][category, tools_text] = rate
    return rates
