"""Errors, latency and cost against what was promised: burn rates on several windows.

An objective, such as 95 % of calls within two seconds over thirty days, leaves 5 % as an
error budget. The burn rate is the share of bad calls over that budget: at 1 the budget lasts
thirty days, at 14.4 a fiftieth of it is gone in an hour. A long window says that it matters,
a short one beside it that it still goes on, so that the alert ends soon after the trouble.
The pairs are those of the SRE Workbook, chapter "Alerting on SLOs".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from evalspan.grafana._counted import counted_within
from evalspan.grafana._watched import Alert, Limit, Rule, Severity, Watched, literal

# Long window, short window, burn rate, severity.
PAIRS: Final[tuple[tuple[str, str, float, Severity], ...]] = (
    ("1h", "5m", 14.4, "critical"),
    ("6h", "30m", 6, "critical"),
    ("1d", "2h", 3, "warning"),
    ("3d", "6h", 1, "warning"),
)
_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# Windows of a shift's work. Over days a first count weighs little and costs much to find.
_WITH_FIRST_COUNTS: Final = ("5m", "30m", "1h", "2h", "6h")
_CALLS: Final = "service_slo:evalspan_calls:increase"
_BAD: Final = "service_slo:evalspan_bad_calls:ratio"
_DURATION: Final = "gen_ai_client_operation_duration_seconds_count"
_NAMES: Final = {
    "latency": "EvalspanLatencyBurn",
    "time_to_first_token": "EvalspanLatencyBurn",
    "cost": "EvalspanCostBurn",
}
_SAID: Final = {
    "latency": ("Slow answers", "took longer than {most:g} ms"),
    "time_to_first_token": ("Slow first words", "showed nothing for {most:g} ms"),
    "cost": ("Dear answers", "cost more than {most:g} US dollars"),
}
_WORDS: Final = {
    "5m": "5 minutes",
    "30m": "30 minutes",
    "1h": "hour",
    "2h": "2 hours",
    "6h": "6 hours",
    "1d": "day",
    "3d": "3 days",
}


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise: its label, the alert, its words, and what of calls is bad and counted.

    `service` is the label that names the service; the GenAI metrics have another one.
    """

    slo: str
    alert: str
    title: str
    said: str
    share: float
    bad: str
    counted: str
    service: str = "service"

    def calls(self, window: str) -> str:
        """Number of calls over the window, per service."""
        return self._count(self.counted, window)

    def ratio(self, window: str) -> str:
        """Share of bad calls over the window, per service; 0 where none is bad."""
        bad, calls = self._count(self.bad, window), self.recorded(_CALLS, window)
        on = f"on ({self.service})"
        return f"(\n  {bad}\n  or {on} 0 * {calls}\n)\n/ {on} ({calls} > 0)"

    def recorded(self, name: str, window: str) -> str:
        """What the rules record of it over the window."""
        return f"{name}_{window}{{slo={_quoted(self.slo)}}}"

    def _count(self, series: str, window: str) -> str:
        if window in _WITH_FIRST_COUNTS:
            return counted_within(series, window, self.service)
        return f"sum by ({self.service}) (increase({series}[{window}]))"


def objectives(watched: Watched) -> Iterator[Objective]:
    """Yield what was promised: no errors, and the limits of the config's checks."""
    yield Objective(
        slo="errors",
        alert="EvalspanErrorBurn",
        title="Failing model calls",
        said="failed",
        share=watched.alerts.error_objective,
        bad=f'{_DURATION}{{error_type!=""}}',
        counted=_DURATION,
        service="service_name",
    )
    for limit in watched.limits:
        share = watched.alerts.objectives.get(limit.check)
        limited = limit.kind in _NAMES and limit.most is not None
        if limited or share is not None:
            yield _of_check(limit, share or watched.alerts.limit_objective)


def _of_check(limit: Limit, share: float) -> Objective:
    title, said = f"Check {literal(limit.check)}", "failed it"
    if limit.kind in _SAID and limit.most is not None:
        title, said = _SAID[limit.kind]
    verdicts = f'evalspan_verdicts_total{{check={_quoted(limit.check)},item="",verdict'
    return Objective(
        slo=limit.check,
        alert=_NAMES.get(limit.kind, "EvalspanObjectiveBurn"),
        title=title,
        said=said.format(most=limit.most),
        share=share,
        bad=f'{verdicts}="fail"}}',
        counted=f'{verdicts}=~"pass|fail"}}',
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def recordings(watched: Watched) -> Iterator[Rule]:
    """Yield the numbers of calls and the shares of bad ones, per objective and window."""
    for objective in objectives(watched):
        labels = {"slo": objective.slo}
        for window in _WINDOWS:
            # The calls first: the share is taken of what is recorded.
            for name, expr in ((_CALLS, objective.calls), (_BAD, objective.ratio)):
                yield {"record": f"{name}_{window}", "expr": expr(window), "labels": labels}


def burn_rates(watched: Watched) -> Iterator[Alert]:
    """Yield an alert per objective and pair of windows."""
    for objective in objectives(watched):
        for long, short, factor, severity in PAIRS:
            threshold = factor * (1 - objective.share)
            if threshold < 1:  # more than all calls cannot be bad
                yield _alert(watched, objective, (long, short), threshold, severity)


def _alert(
    watched: Watched,
    objective: Objective,
    windows: tuple[str, str],
    threshold: float,
    severity: Severity,
) -> Alert:
    long, short = windows
    allowed = f"{100 * (1 - objective.share):.4g}%"
    return Alert(
        objective.alert,
        f"{objective.recorded(_BAD, long)} > {threshold:.6g}\n"
        f"and {objective.recorded(_BAD, short)} > {threshold:.6g}\n"
        f"and {objective.recorded(_CALLS, long)} >= {watched.alerts.minimum_calls}",
        severity,
        {
            "summary": f"{objective.title}: {{{{ $value | humanizePercentage }}}} of the calls of "
            f'"{{{{ $labels.{objective.service} }}}}" {objective.said} in the last {_WORDS[long]}; '
            f"{allowed} may.",
            "description": "At this pace what may go wrong in thirty days is used up in "
            f"{_lasting(threshold / (1 - objective.share))}, and it still went on in the last "
            f"{_WORDS[short]}. The dashboard Overview shows since when, beside tokens, errors "
            "and the host.",
            **_links(watched, objective),
        },
        labels={"slo": objective.slo, "window": long},
    )


def _lasting(factor: float) -> str:
    days = 30 / factor
    return f"{days:.0f} days" if days >= 3 else f"{24 * days:.0f} hours"  # noqa: PLR2004 - words


def _links(watched: Watched, objective: Objective) -> dict[str, str]:
    if not watched.grafana_url:
        return {}
    page = f"{watched.grafana_url}/d/evalspan-overview/overview"
    return {"dashboard": f"{page}?var-service={{{{ $labels.{objective.service} | urlquery }}}}"}
