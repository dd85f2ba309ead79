"""The alert that a score fell: how much, for whom, since when, and where to look."""

from collections.abc import Mapping

from evalspan.grafana._watched import Alert, Watched

# Its slice may get a better name as evidence grows: that is the same alert, not another one.
OPEN = 'max by (id, check) (evalspan_regression_open{direction="regression"}) == 1'
# An effect that moves around the border does not change the severity back and forth.
_STEADY = "6h"
_WHO = (
    '{{ with printf "evalspan_regression_open{id=%q}" $labels.id | query }}'
    '{{ $slice := . | first | label "slice" }}'
    '{{ if eq $slice "{}" }}everybody{{ else }}'
    '{{ reReplaceAll "[{}\\"]" "" (reReplaceAll "\\": *\\"" " = " $slice) }}{{ end }}{{ end }}'
)


def score_regressions(watched: Watched) -> list[Alert]:
    """Return the alert in two severities: a large fall of much traffic is critical."""
    set_ = watched.alerts
    grave = (
        f"min_over_time(evalspan_regression_effect[{_STEADY}]) <= -{set_.critical_effect:g}\n"
        'and on (id) evalspan_regression_samples{side="candidate"} '
        f">= {set_.critical_sample}"
    )
    words, keep = _words(watched), set_.keep_firing
    name = "EvalspanScoreRegression"
    return [
        Alert(name, f"{OPEN}\nand on (id) {grave}", "critical", words, keep=keep),
        Alert(name, f"{OPEN}\nunless on (id) (\n{grave}\n)", "warning", words, keep=keep),
    ]


def _words(watched: Watched) -> Mapping[str, str]:
    before = looked_up("baseline_score", "humanizePercentage")
    after = looked_up("candidate_score", "humanizePercentage")
    since = looked_up("change_timestamp_seconds", "humanizeTimestamp")
    on = {
        side: looked_up("samples", 'printf "%.0f"', f',side=\\"{side}\\"')
        for side in ("baseline", "candidate")
    }
    return {
        "summary": (
            f'Answers got worse: check "{{{{ $labels.check }}}}" now passes {after} of the time '
            f"instead of {before} for {_WHO}."
        ),
        "description": (
            "This is a proven drop, not a bad minute. The report says why (which prompt version, "
            "model, customer, tool or machine) and shows example traces: /reports/ on the "
            "sidecar's metrics address, or the dashboard Regression. Regression {{ $labels.id }}."
        ),
        "slice": _WHO,
        "before": before,
        "after": after,
        "since": since,
        "sample_size": f"{on['baseline']} verdicts before, {on['candidate']} since",
        **_links(watched),
    }


def looked_up(metric: str, shown: str, labels: str = "") -> str:
    """Template that shows another number of the same regression, or a dash if there is none."""
    asked = f'printf "evalspan_regression_{metric}{{id=%q{labels}}}" $labels.id'
    number = f"{{{{ . | first | value | {shown} }}}}"
    return f"{{{{ with {asked} | query }}}}{number}{{{{ else }}}}–{{{{ end }}}}"


def _links(watched: Watched) -> Mapping[str, str]:
    links: dict[str, str] = {}
    check = "{{ $labels.check | urlquery }}"
    if watched.regression_page:
        page = watched.regression_page.replace("{id}", "{{ $labels.id }}")
        links["dashboard"] = page.replace("{check}", check)
    if watched.reports_url:
        links["report"] = f"{watched.reports_url}/?q={check}"
    if links:
        links["traces"] = links.get("dashboard") or links["report"]
    return links
