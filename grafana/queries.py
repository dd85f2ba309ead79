"""PromQL and LogQL of the dashboard: what is asked, without how it is drawn.

`$service`, `$check`, `$prompt`, `$customer` and `$window` are the dashboard's
variables; `$__rate_interval` and `$__range` are Grafana's own.
"""  # noqa: INP001 - a folder of scripts, no package

# A variable's "All" is `.*`, which also takes series that lack the label.
SPANS = 'service=~"$service",check=~"$check",prompt=~"$prompt",customer=~"$customer"'
# The verdict of a check on a span has no item; the items are a checklist's questions.
VERDICTS = f'item="",{SPANS}'
QUESTIONS = f'item!="",{SPANS}'
COSTS = 'service=~"$service",prompt=~"$prompt"'
CALLS = 'service_name=~"$service"'
REGRESSIONS = 'check=~"$check",direction="regression"'
CHECKS = 'check=~"$check"'
# A record's body is JSON: the words of it are shown, the rest is in the record's details.
REPORTS = (
    '{service_name="evalspan"} | evalspan_check=~"$check"'
    ' | json title="title", summary="summary", advice="countermeasure"'
    ' | line_format "{{.event_name}}  {{.title}}  {{.summary}}  {{.advice}}"'
)


def increase(metric: str, labels: str, by: str, window: str = "$window") -> str:
    """Count over the window, per `by`, with what a series is born with.

    Prometheus' `increase` sees nothing before the first sample of a series, so the first
    verdicts of a new prompt version, or the one failure of a customer, would not count. A
    series that was not there in the hour before the window has all its count from within it.
    """
    series = f"{metric}{{{labels}}}"
    born = f"max_over_time({series}[{window}]) unless last_over_time({series}[1h] offset {window})"
    return f"sum by ({by}) (({born}) or increase({series}[{window}]))"


def rate(metric: str, labels: str, by: str) -> str:
    """Per second, over the interval that Grafana finds right for the zoom, per `by`."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def verdicts(by: str, verdict: str = "pass|fail", labels: str = VERDICTS) -> str:
    """Number of verdicts over the window, per `by`."""
    return increase("evalspan_verdicts_total", f'verdict=~"{verdict}",{labels}', by)


def pass_rate(by: str, labels: str = VERDICTS) -> str:
    """Passed over passed and failed, per `by`; a group that only fails is 0, not absent."""
    decided = verdicts(by, labels=labels)
    return f"({verdicts(by, 'pass', labels)} or 0 * {decided}) / ({decided} > 0)"


def quantile(share: float, metric: str, labels: str, by: str, window: str = "$window") -> str:
    """Estimate from a histogram's buckets, per `by`; absent where nothing was observed."""
    buckets = f"sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[{window}]))"
    counted = f"sum by ({by}) (rate({metric}_count{{{labels}}}[{window}]))"
    return f"histogram_quantile({share}, {buckets}) and {counted} > 0"


# `or` keeps the answer where one side has no series yet: what is lost must show.
SPANS_UNACCOUNTED = (
    'sum(evalspan_spans_total{outcome="received"})'
    ' - (sum(evalspan_spans_total{outcome=~"stored|duplicate|quarantined"}) or vector(0))'
)
EVALUATIONS_UNACCOUNTED = (
    f'sum(evalspan_evaluations_total{{outcome="expected",{CHECKS}}})'
    f' - (sum(evalspan_evaluations_total{{outcome=~"done|skipped|error",{CHECKS}}}) or vector(0))'
    f" - (sum(evalspan_evaluations_pending{{{CHECKS}}}) or vector(0))"
)
CPU_BUSY = '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))'
MEMORY_USED = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
