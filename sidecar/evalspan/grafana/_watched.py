"""What rules are made of: the part of the config that they need, and the rules themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from evalspan.grafana._settings import AlertSettings

Severity = Literal["info", "warning", "critical"]
Rule = Mapping[str, Any]
"""A rule as Prometheus reads it."""
_SECONDS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Limit:
    """A check with a limit: what it is called, what kind it is, what a call may take at most.

    `kind` is the built-in check behind it, such as latency; `most` is in milliseconds or in
    US dollars, and None where the check has no such limit.
    """

    check: str
    kind: str
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """The config as far as rules need it. Addresses end without a slash; None: not known.

    In `regression_page`, the address of the dashboard of one regression, {id} and {check}
    become the regression's.
    """

    alerts: AlertSettings = field(default_factory=AlertSettings)
    limits: Sequence[Limit] = ()
    reports_url: str | None = None
    grafana_url: str | None = None
    regression_page: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule. Annotations are Prometheus templates, labels are words as they are.

    `hold` is how long the condition must hold first, `keep` how long the alert outlives it.
    """

    name: str
    expr: str
    severity: Severity
    annotations: Mapping[str, str]
    hold: str = "0s"
    keep: timedelta = timedelta(0)
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> Rule:
        """Return it as Prometheus reads it."""
        times = {"for": self.hold, "keep_firing_for": duration(self.keep)}
        return {
            "alert": self.name,
            "expr": self.expr,
            **{key: value for key, value in times.items() if value != "0s"},
            "labels": self.label_templates(),
            "annotations": dict(self.annotations),
        }

    def label_templates(self) -> Mapping[str, str]:
        """Return its labels, the severity among them, as templates that say just them."""
        labels = {"severity": self.severity, **self.labels}
        return {name: literal(value) for name, value in labels.items()}


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another."""

    name: str
    rules: Sequence[Rule]
    interval: str | None = None

    def content(self) -> Mapping[str, Any]:
        """Return it as Prometheus reads it."""
        pace = {"interval": self.interval} if self.interval else {}
        return {"name": self.name, **pace, "rules": list(self.rules)}


def literal(text: str) -> str:
    """Return a template, of Prometheus or of Grafana, that says just this text."""
    return text.replace("{{", '{{ "{{" }}')


def duration(time: timedelta) -> str:
    """Return whole seconds the way Prometheus and Grafana write them, such as 1h30m; 0s is none."""
    left = round(time.total_seconds())
    words = ""
    for unit, seconds in _SECONDS.items():
        if unit in {"y", "w"} and left % seconds:  # only whole ones are written as such
            continue
        count, left = divmod(left, seconds)
        words += f"{count}{unit}" if count else ""
    return words or "0s"
