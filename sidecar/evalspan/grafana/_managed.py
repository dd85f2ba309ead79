"""The alerts as rules that Grafana itself evaluates, for a Grafana whose Prometheus loads none."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from evalspan.grafana._burn import burn_rates, recordings
from evalspan.grafana._ledger import evaluations, spans
from evalspan.grafana._regressions import score_regressions
from evalspan.grafana._watched import Alert, Watched, duration

_RECORDED: Final = re.compile(r'(service_slo:[\w:]+)\{slo=("(?:[^"\\]|\\.)*")\}')
_LOOKED_UP: Final = re.compile(
    r'\{\{ with printf "(\w+)\{id=%q(?:,side=\\"(\w+)\\")?\}" \$labels\.id \| query \}\}'
)
_SHOWN: Final = re.compile(r"\{\{ \. \| first \| value \| ([^}]+?) \}\}")
_LOOK_BACK_SECONDS: Final = 600
_INTERVAL_SECONDS: Final = 60
# Grafana keeps these from version 12 on; one before it takes a rule with them and forgets them.
_NEWER: Final = frozenset({"keep_firing_for", "missingSeriesEvalsToResolve"})


def rule_groups(watched: Watched, source: str) -> Iterator[Mapping[str, Any]]:
    """Yield the groups as Grafana's provisioning API takes them; `source` is the data source."""
    known = {(rule["record"], rule["labels"]["slo"]): rule["expr"] for rule in recordings(watched)}
    told = {
        "evalspan-quality": [*score_regressions(watched), *evaluations(watched)],
        "evalspan-ledger": spans(watched),
        "evalspan-burn-rates": list(burn_rates(watched)),
    }
    for title, alerts in told.items():
        rules = [_rule(alert, title, source, known) for alert in alerts]
        yield {"title": title, "interval": _INTERVAL_SECONDS, "rules": rules}


def comparable(group: Mapping[str, Any], there: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the group without what the Grafana that has `there` does not keep."""
    theirs = {rule.get("uid"): rule for rule in (there or {}).get("rules", [])}
    rules = [
        {k: v for k, v in rule.items() if k not in _NEWER or k in theirs.get(rule["uid"], _NEWER)}
        for rule in group["rules"]
    ]
    return {**group, "rules": rules}


def _rule(
    alert: Alert, group: str, source: str, known: Mapping[tuple[str, str], str]
) -> Mapping[str, Any]:
    numbers: dict[str, str] = {}
    annotations = {key: _text(text, numbers) for key, text in alert.annotations.items()}
    named = (alert.name, alert.severity, *alert.labels.values())
    return {
        "uid": _uid("-".join(named)),
        "title": " ".join(named),
        "ruleGroup": group,
        "condition": "fires",
        "for": alert.hold,
        **_kept(alert),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": alert.label_templates(),
        "annotations": annotations,
        "data": list(_data(_inlined(alert.expr, known), numbers, source)),
    }


def _kept(alert: Alert) -> Mapping[str, Any]:
    """Say how long the alert outlives its condition, and the series of it.

    Where other series fire on, Grafana counts the looks at which one is missing instead.
    """
    missing = math.ceil(alert.keep.total_seconds() / _INTERVAL_SECONDS)
    looks = {"missingSeriesEvalsToResolve": missing} if missing else {}
    return {"keep_firing_for": duration(alert.keep), **looks}


def _uid(named: str) -> str:
    return f"evalspan-{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _inlined(expr: str, known: Mapping[tuple[str, str], str]) -> str:
    """Put what a recording stands for in its place: Grafana records nothing."""

    def recorded(match: re.Match[str]) -> str:
        slo = match[2][1:-1].replace('\\"', '"').replace("\\\\", "\\")
        return f"({_inlined(known[match[1], slo], known)})"

    return _RECORDED.sub(recorded, expr)


def _text(text: str, numbers: dict[str, str]) -> str:
    """Say it in Grafana's template language; what is looked up is put among the numbers."""

    def looked_up(match: re.Match[str]) -> str:
        metric, side = match[1], match[2]
        name = metric.removeprefix("evalspan_regression_") + (f"_{side}" if side else "")
        selector = f'{{side="{side}"}}' if side else ""
        by = "id, check, slice" if name == "open" else "id, check"
        numbers[name] = f"max by ({by}) ({metric}{selector})"
        return f"{{{{ with $values.{name} }}}}"

    text = _LOOKED_UP.sub(looked_up, text)
    text = _SHOWN.sub(lambda match: f"{{{{ .Value | {match[1]} }}}}", text)
    text = text.replace('. | first | label "slice"', ".Labels.slice")
    return text.replace("$value ", "$values.asked.Value ")


def _data(expr: str, numbers: Mapping[str, str], source: str) -> Iterator[Mapping[str, Any]]:
    # A condition of PromQL drops what is fine; what is left fires, whatever its value is.
    for name, asked in {"asked": expr, **numbers}.items():
        yield {
            "refId": name,
            "datasourceUid": source,
            "relativeTimeRange": {"from": _LOOK_BACK_SECONDS, "to": 0},
            "model": {"refId": name, "expr": asked, "instant": True, "range": False},
        }
    yield {
        "refId": "fires",
        "datasourceUid": "__expr__",
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {
            "refId": "fires",
            "type": "math",
            "expression": "is_number($asked)",
            "datasource": {"type": "__expr__", "uid": "__expr__"},
        },
    }
