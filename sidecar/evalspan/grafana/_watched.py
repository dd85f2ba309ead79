"""What rules are made of: the part of the config that they need, and the rules themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalspan.grafana._settings import AlertSettings

Severity = Literal["info", "warning", "critical"]
Rule = Mapping[str, Any]
"""A rule as Prometheus reads it."""


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
    """An alert rule. Annotations are Prometheus templates; `hold` and `keep` are durations."""

    name: str
    expr: str
    severity: Severity
    annotations: Mapping[str, str]
    hold: str | None = None
    keep: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> Rule:
        """Return it as Prometheus reads it."""
        times = {"for": self.hold, "keep_firing_for": self.keep}
        return {
            "alert": self.name,
            "expr": self.expr,
            **{key: value for key, value in times.items() if value},
            "labels": {"severity": self.severity, **self.labels},
            "annotations": dict(self.annotations),
        }


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
