"""Build the document of a report from rows of REGRESSIONS and FINDINGS and an outcome."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import polars as pl

from evalspan.report._document import (
    Exemplar,
    Finding,
    Link,
    Optimization,
    Point,
    Rates,
    Regression,
    Report,
    Series,
    StateChange,
)
from evalspan.report._reasons import failures as reasons_of
from evalspan.report._settings import ReportError, ReportSettings
from evalspan.report._text import cut
from evalspan.report._words import summary, title

_EXCERPT = 4_000
_NAME = 200
_DIFF = 100_000
_MOST_POINTS = 2_000
_TRACE = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"[0-9a-f]{16}")


def build(  # noqa: PLR0913 - the parts of a report, by name
    regression: Mapping[str, Any] | None,
    findings: Sequence[Mapping[str, Any]],
    outcome: Mapping[str, Any] | None = None,
    series: pl.DataFrame | None = None,
    *,
    now: datetime,
    settings: ReportSettings | None = None,
    revisions: Mapping[str, str] | None = None,
    failures: pl.DataFrame | None = None,
    states: Sequence[Mapping[str, Any]] = (),
) -> Report:
    """Build a report.

    `regression` and `findings` are rows of REGRESSIONS and FINDINGS (exemplars
    as `trace_id` or `trace_id:span_id`), `outcome` the dumped outcome of
    optimize, `series` a frame of `time`, `score` (pass rate), `n` and `series`
    (the label of the slice) for the chart, `revisions` check → evaluator
    revision, `failures` a row per failing verdict (`reason`, `trace_id`,
    `span_id`, and `after`, true for the candidate), `states` all rows of
    REGRESSIONS of this one. Raises ReportError when there is neither
    regression nor outcome.
    """
    if regression is None and outcome is None:
        msg = "a report needs a regression or the outcome of an optimization"
        raise ReportError(msg)
    spans = _spans(failures)
    what = _regression(regression, spans) if regression else None
    ranked = sorted(findings, key=lambda row: int(row["rank"]))
    causes = tuple(_finding(row, spans) for row in ranked)
    failed = None if failures is None else reasons_of(failures)
    tried = _optimization(outcome) if outcome else None
    check = cut(str((regression or outcome or {})["check"]), _NAME)
    made = settings or ReportSettings()
    identity = _stable_id(what, tried)
    return Report(
        id=identity,
        created_time=now,
        kinds=_kinds(what, causes, tried),
        view=cut(str((regression or {}).get("view") or ""), _NAME),
        check=check,
        slice=what.slice if what else {},
        state=what.state if what else tried.verdict if tried else "",
        title=title(check, what, tried),
        summary=summary(check, what, failed, causes, tried),
        regression=what,
        states=_states(states),
        failures=failed,
        findings=causes,
        optimization=tried,
        series=_series(series),
        links=_links(made, check, what.id if what else ""),
        url=f"{made.public_url.rstrip('/')}/{identity}" if made.public_url else None,
        revisions=_slice(revisions or {}),
        trace_url=made.trace_url,
    )


def _stable_id(regression: Regression | None, optimization: Optimization | None) -> str:
    if regression:
        return report_id(regression.id)
    return _hash(f"optimization\n{optimization.experiment if optimization else ''}")


def report_id(regression: str) -> str:
    """Return the id of the report of a regression, the same in every state of it."""
    return _hash(f"regression\n{cut(regression, _NAME)}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kinds(
    regression: Regression | None,
    findings: tuple[Finding, ...],
    optimization: Optimization | None,
) -> tuple[Any, ...]:
    parts = {"regression": regression, "root_cause": findings, "optimization": optimization}
    return tuple(name for name, part in parts.items() if part)


def _regression(row: Mapping[str, Any], spans: Mapping[str, str]) -> Regression:
    return Regression(
        id=cut(str(row["id"]), _NAME),
        kind=row.get("kind") or "time",
        direction=row.get("direction") or "regression",
        state=row.get("state") or "open",
        slice=_slice(row.get("slice")),
        rates=_rates(row),
        reason=cut(row.get("reason") or "", _EXCERPT),
        exemplars=_exemplars(row.get("exemplars"), spans),
        state_time=_state_time(row),
        detected_time=_time(row.get("detected_time")),
        mute_reason=cut(row.get("mute_reason") or "", _EXCERPT) or None,
        mute_until=_time(row.get("mute_until")),
        version_dimension=row.get("version_dimension"),
        old=_name(row.get("old")),
        new=_name(row.get("new")),
        opened_time=_time(row.get("opened_time")),
        change_time=_time(row.get("change_time")),
        change_low=_time(row.get("change_low")),
        change_high=_time(row.get("change_high")),
        mix_amount=row.get("mix_amount"),
        mix_low=row.get("mix_low"),
        mix_high=row.get("mix_high"),
        evidence_nats=row.get("evidence_nats"),
    )


def _finding(row: Mapping[str, Any], spans: Mapping[str, str]) -> Finding:
    diff = row.get("prompt_diff")
    return Finding(
        rank=row["rank"],
        kind=row.get("kind") or "slice",
        slice=_slice(row.get("slice")),
        title=cut(row.get("title") or "", _EXCERPT),
        share=row.get("share"),
        share_low=row.get("share_low"),
        share_high=row.get("share_high"),
        rates=_rates(row),
        exemplars=_exemplars(row.get("exemplars"), spans),
        prompt_diff=cut(diff, _DIFF) if diff else None,
        countermeasure=cut(row.get("countermeasure") or "", _EXCERPT) or None,
    )


def _optimization(outcome: Mapping[str, Any]) -> Optimization:
    return Optimization.model_validate(_short(outcome))


def _short(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Cut every text: a diff more generously, and never a prompt, which is to be applied."""
    if isinstance(value, str):
        return cut(value, _EXCERPT)
    if isinstance(value, Mapping):
        return {
            key: each
            if key == "prompt"
            else cut(each, _DIFF if key == "diff" else _EXCERPT)
            if isinstance(each, str)
            else _short(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return value


def _rates(row: Mapping[str, Any]) -> Rates:
    return Rates(
        before=row.get("baseline_score"),
        after=row.get("candidate_score"),
        before_n=row.get("baseline_n"),
        after_n=row.get("candidate_n"),
        effect=row.get("effect"),
        effect_low=row.get("effect_low"),
        effect_high=row.get("effect_high"),
    )


def _slice(value: object) -> dict[str, str]:
    if isinstance(value, str):
        value = json.loads(value or "{}")
    if not isinstance(value, Mapping):
        return {}
    return {cut(str(k), _NAME): cut(str(v), _NAME) for k, v in value.items()}


def _name(value: str | None) -> str | None:
    return None if value is None else cut(value, _NAME)


def _state_time(row: Mapping[str, Any]) -> datetime | None:
    """When the verdicts showed it; a mute, which none shows, is as old as it was seen first."""
    shown = None if row.get("state") == "muted" else row.get("state_time")
    return _time(shown or row.get("detected_time"))


def _time(value: datetime | None) -> datetime | None:
    return None if value is None else _utc(value)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _exemplars(values: Sequence[str] | None, spans: Mapping[str, str]) -> tuple[Exemplar, ...]:
    """Keep what is an id; anything else was never a trace. A span that failed is named."""
    parts = [str(value).partition(":") for value in values or ()]
    named = [(trace, span or spans.get(trace, "")) for trace, _, span in parts]
    return tuple(
        Exemplar(trace_id=trace, span_id=span if _SPAN.fullmatch(span) else None)
        for trace, span in named
        if _TRACE.fullmatch(trace)
    )


def _spans(failures: pl.DataFrame | None) -> dict[str, str]:
    """Return trace → the span of it that failed."""
    if failures is None:
        return {}
    return dict(failures.select("trace_id", "span_id").drop_nulls().iter_rows())


def _states(rows: Sequence[Mapping[str, Any]]) -> tuple[StateChange, ...]:
    """Return the states in order of time."""
    ordered = sorted(rows, key=lambda row: _utc(row["detected_time"]))
    return tuple(
        StateChange(
            state=cut(str(row["state"]), _NAME),
            time=_state_time(row) or _utc(row["detected_time"]),
            detected_time=_utc(row["detected_time"]),
            reason=cut(row.get("reason") or "", _EXCERPT),
        )
        for row in ordered
    )


def _series(frame: pl.DataFrame | None) -> tuple[Series, ...]:
    if frame is None or frame.is_empty():
        return ()
    if "series" not in frame.columns:
        frame = frame.with_columns(series=pl.lit("score"))
    found = []
    for (label,), part in frame.sort("time").group_by(["series"], maintain_order=True):
        rows = part.tail(_MOST_POINTS).iter_rows(named=True)
        dots = (Point(time=_utc(r["time"]), score=r["score"], n=r["n"] or 0) for r in rows)
        found.append(Series(label=str(label), points=tuple(dots)))
    return tuple(found)


def _links(settings: ReportSettings, check: str, regression: str) -> tuple[Link, ...]:
    if settings.dashboard_url is None:
        return ()
    url = settings.dashboard_url.replace("{check}", quote(check, safe=""))
    return (Link(title="Dashboard", url=url.replace("{id}", quote(regression, safe=""))),)
