"""Rows as detect, explain and optimize write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from evalspan.report import Report, ReportSettings, build

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRACES = [f"{number:032x}" for number in range(1, 4)]
DIFF = (
    "--- v1\n+++ v2\n@@ -1,3 +1,3 @@\n Extract.\n"
    "-Write prices as numbers.\n+Write prices as text.\n Be brief."
)

REGRESSION: dict[str, Any] = {
    "id": "json_schema/globex",
    "view": "prod",
    "check": "json_schema",
    "kind": "version",
    "direction": "regression",
    "state": "open",
    "slice": '{"customer": "globex"}',
    "version_dimension": "prompt_version",
    "old": "v1",
    "new": "v2",
    "opened_time": NOW,
    "change_time": NOW - timedelta(hours=20),
    "change_low": NOW - timedelta(hours=21),
    "change_high": NOW - timedelta(hours=19),
    "baseline_n": 640,
    "candidate_n": 80,
    "baseline_score": 0.97,
    "candidate_score": 0.6,
    "effect": -0.37,
    "effect_low": -0.45,
    "effect_high": -0.29,
    "mix_amount": None,
    "mix_low": None,
    "mix_high": None,
    "evidence_nats": 21.0,
    "exemplars": TRACES,
    "reason": "fell",
}

FINDING: dict[str, Any] = {
    "regression_id": "json_schema/globex",
    "rank": 1,
    "kind": "prompt_change",
    "slice": '{"customer": "globex"}',
    "title": "the prompt changed from v1 to v2",
    "share": 0.93,
    "share_low": 0.8,
    "share_high": 1.05,
    "baseline_n": 640,
    "candidate_n": 80,
    "baseline_score": 0.97,
    "candidate_score": 0.6,
    "effect": -0.37,
    "effect_low": -0.45,
    "effect_high": -0.29,
    "exemplars": [f"{TRACES[0]}:{7:016x}"],
    "prompt_diff": DIFF,
    "countermeasure": "Say again that prices are numbers.",
}


def failures(
    reason: str = '$.offers[{0}].price: "{0} EUR" is not of type "number"',
) -> pl.DataFrame:
    """31 of 32 failures after the change are of one kind; one of 19 before it."""
    other = "$.offers: [] has less than 1 item"
    rows = [(reason.replace("{0}", str(n)), f"{n:032x}", f"{n:016x}", True) for n in range(1, 32)]
    rows += [(other, f"{50:032x}", f"{50:016x}", True)]
    rows += [(other, f"{n:032x}", f"{n:016x}", False) for n in range(60, 78)]
    rows += [(reason.replace("{0}", "9"), f"{80:032x}", f"{80:016x}", False)]
    return pl.DataFrame(rows, schema=["reason", "trace_id", "span_id", "after"], orient="row")


def states() -> list[dict[str, Any]]:
    """Rows of REGRESSIONS as they came, the newest first."""
    opened = {"state": "open", "detected_time": NOW - timedelta(hours=10), "reason": "fell"}
    worse = {"state": "worsening", "detected_time": NOW, "reason": "fell further"}
    return [worse, opened]


def comparison(check: str, before: float, after: float, standing: str) -> dict[str, Any]:
    return {
        "check": check,
        "slice": {},
        "n": 120,
        "before": before,
        "after": after,
        "difference": after - before,
        "low": after - before - 0.1,
        "high": after - before + 0.1,
        "losses": 3,
        "gains": 30,
        "p_value": 0.001,
        "standing": standing,
        "needs": 12 if standing == "unproven" else 0,
        "verdicts_lost": 0,
    }


def judgement(verdict: str, **extra: object) -> dict[str, Any]:
    return {
        "part": "holdout",
        "verdict": verdict,
        "reasons": [],
        "reservations": ["language: 120 cases are too few to prove, needs 12 more"],
        "checks": [
            comparison("json_schema", 0.6, 0.95, "improved"),
            comparison("language", 1.0, 0.98, "unproven"),
        ],
        "slices": [{**comparison("json_schema", 0.5, 1.0, "not worse"), "slice": {"a": "b"}}],
        "resources": [{"name": "cost_usd", "before": 0.001, "after": 0.0011, "n": 120}],
        "failed_replays": 0,
        **extra,
    }


def proposal(**extra: object) -> dict[str, Any]:
    return {
        "variant": "0123456789ab",
        "mutator": "rewrite",
        "rationale": "States the form of prices.",
        "prompt": "Extract.\nWrite prices as JSON numbers.",
        "diff": DIFF,
        "judgement": judgement("accepted with reservations"),
        **extra,
    }


def change(**extra: object) -> dict[str, Any]:
    return {
        "case_id": "c1",
        "trace_id": TRACES[0],
        "slice": {},
        "checks": ["json_schema"],
        "reason": "offers.price is text",
        "input": "a page",
        "before": '{"price": "12 EUR"}',
        "after": '{"price": 12}',
        **extra,
    }


def outcome(**extra: object) -> dict[str, Any]:
    bad = proposal(
        reason="improves json_schema by 30 points but language falls: 100.0 % → 60.0 %",
        judgement=judgement("rejected"),
    )
    return {
        "experiment": "feedfeedfeedfeed",
        "dataset": "shop",
        "check": "json_schema",
        "created_time": NOW.isoformat(),
        "verdict": "accepted with reservations",
        "summary": "json_schema rises: 60.0 % → 95.0 % on 120 cases.",
        "accepted": proposal(),
        "rejected": [bad],
        "better": [change()],
        "worse": [],
        "search_cases": 120,
        "holdout_cases": 120,
        "rounds": 3,
        "proposals": 7,
        "replays": 1200,
        "errors": [],
        "spent_input_tokens": 1000,
        "spent_output_tokens": 2000,
        "spent_cost_usd": 0.25,
        **extra,
    }


def series() -> pl.DataFrame:
    hours = [NOW - timedelta(hours=40 - hour) for hour in range(40)]
    rates = [0.97 if hour < 20 else 0.6 for hour in range(40)]
    rates_known = [None if place == 3 else rate for place, rate in enumerate(rates)]
    return pl.DataFrame({"time": hours, "score": rates_known, "n": 12, "series": "globex"})


SETTINGS = ReportSettings(
    trace_url="https://tempo.example/{trace_id}",
    dashboard_url="https://grafana.example/d/1?check={check}",
)


def sample(**changed: object) -> Report:
    """A report with every part; keyword arguments replace parts."""
    parts: dict[str, Any] = {
        "regression": REGRESSION,
        "findings": [FINDING],
        "outcome": outcome(),
        "series": series(),
        "failures": failures(),
        "states": states(),
        "now": NOW,
        "settings": SETTINGS,
        "revisions": {"json_schema": "abc123"},
        **changed,
    }
    return build(**parts)


def shown(report: Report) -> str:
    """A renderer as a user would write one."""
    return "shown" if report else ""
