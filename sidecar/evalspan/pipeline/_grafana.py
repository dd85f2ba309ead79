"""What Prometheus and Grafana are told of the config: limits of checks, addresses, alerts."""

from collections.abc import Iterator
from typing import Final

from evalspan.grafana import Limit, Watched
from evalspan.pipeline._settings import Settings

# Built-in check → its setting that says what a call may take at most.
_LIMITS: Final = {"latency": "max_ms", "time_to_first_token": "max_ms", "cost": "max_usd"}


def watched(settings: Settings) -> Watched:
    """Return the part of the config that rules are made of."""
    url = _without_slash(settings.grafana.url)
    return Watched(
        alerts=settings.alerts,
        limits=tuple(_limits(settings)),
        reports_url=_without_slash(settings.report.public_url),
        grafana_url=url,
        regression_page=url and url + settings.grafana.regression_dashboard,
    )


def _limits(settings: Settings) -> Iterator[Limit]:
    for name, check in settings.checks.items():
        kind = check.use or name
        most = check.settings.get(_LIMITS.get(kind, ""))
        yield Limit(name, kind, None if most is None else float(most))
    for name in settings.checklists:
        yield Limit(name, "checklist")


def _without_slash(url: str | None) -> str | None:
    return url and url.rstrip("/")
