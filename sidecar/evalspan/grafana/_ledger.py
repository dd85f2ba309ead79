"""Alerts about evalspan itself: is everything seen, stored, evaluated, and in time?"""

from evalspan.grafana._counted import counted_within
from evalspan.grafana._watched import Alert, Watched


def evaluations(watched: Watched) -> list[Alert]:
    """Return the alerts about evaluations: broken, missing, merged, too dear."""
    alerts = [
        Alert(
            "EvalspanEvaluationsFailing",
            _share_of_errors(watched.alerts.failing_share),
            "warning",
            {
                "summary": 'The check "{{ $labels.check }}" itself breaks on '
                "{{ $value | humanizePercentage }} of what it looks at.",
                "description": "Its score stands on what is left, so do not trust it until this "
                "is mended. The rows with `error` in the table of scores say what went wrong.",
            },
            hold="5m",
        ),
        Alert(
            "EvalspanEvaluationsMissing",
            "evalspan_evaluations_unaccounted > 0",
            "warning",
            {
                "summary": '{{ printf "%.0f" $value }} evaluations of the check '
                '"{{ $labels.check }}" are neither made, skipped, failed nor waiting.',
                "description": "Every evaluation must be accounted for. This is a fault of "
                "evalspan on {{ $labels.instance }}; `evalspan ledger` shows the sums.",
            },
            hold="15m",
        ),
        Alert(
            "EvalspanLabelsOverflow",
            counted_within("evalspan_label_overflow_total", "1h", "dimension") + " > 0",
            "info",
            {
                "summary": '"{{ $labels.dimension }}" has more values than its budget: the rest '
                "is shown together as __other__.",
                "description": "Scores are complete in the tables; only the metrics are merged. "
                "Raise the budget of the dimension in the config if Prometheus can bear more "
                "series.",
            },
        ),
        Alert(
            "EvalspanSeriesOverflow",
            counted_within("evalspan_series_overflow_total", "1h", "metric") + " > 0",
            "info",
            {
                "summary": "{{ $labels.metric }} has as many series as its budget allows: the "
                "rest is shown together as __other__.",
                "description": "Every label is within its own budget, their combinations are "
                "not. Scores are complete in the tables; only the metrics are merged. Take a "
                "dimension out of the config, lower a budget, or raise metrics.series_budget if "
                "Prometheus can bear more series.",
            },
        ),
    ]
    return [*alerts, *_judge_budget(watched)]


def _share_of_errors(share: float) -> str:
    broken, decided = (
        counted_within(f"evalspan_evaluations_total{{outcome{outcome}}}", "15m", "check")
        for outcome in ('="error"', '=~"done|error"')
    )
    return f"{broken}\n/ ({decided} > 0)\n> {share:g}"


def _judge_budget(watched: Watched) -> list[Alert]:
    budget = watched.alerts.judge_budget_usd_per_day
    if budget is None:
        return []
    spent = "sum(increase(evalspan_judge_cost_usd_total[1d]))"
    return [
        Alert(
            "EvalspanJudgeBudgetSpent",
            f"{spent} >= {budget:g}",
            "warning",
            {
                "summary": 'Judges have cost {{ $value | printf "%.2f" }} US dollars in a day; '
                f"the budget is {budget:.2f}.",
                "description": "Lower `sample` of the dearest checklist, or raise "
                "judge_budget_usd_per_day in the config. The dashboard Pipeline shows what each "
                "checklist costs.",
            },
        )
    ]


def spans(watched: Watched) -> list[Alert]:
    """Return the alerts about spans and processes: lost, unreadable, refused, late, down."""
    return [*_spans(), *_processes(watched)]


def _spans() -> list[Alert]:
    quarantined = counted_within(
        'evalspan_spans_total{outcome="quarantined"}', "15m", "job, instance"
    )
    # Those left out are sent again by themselves and ask for nothing to be done.
    rejected = counted_within(
        'evalspan_rejected_requests_total{reason!~"cancelled|slow_sender|stopping"}',
        "15m",
        "job, instance, reason",
    )
    return [
        Alert(
            "EvalspanSpansLost",
            "evalspan_spans_unaccounted != 0",
            "critical",
            {
                "summary": '{{ printf "%.0f" $value }} spans were received and are neither stored '
                "nor set aside.",
                "description": "Received = stored + duplicate + quarantined + waiting must hold. "
                "This is a fault of evalspan on {{ $labels.instance }}; `evalspan ledger` shows "
                "the sums.",
            },
            hold="10m",
        ),
        Alert(
            "EvalspanSpansQuarantined",
            f"{quarantined} > 0",
            "warning",
            {
                "summary": '{{ printf "%.0f" $value }} spans could not be read in the last 15 '
                "minutes and were set aside.",
                "description": "They are kept with the reason in the table quarantine and are in "
                "no score. The usual cause is an app or a library that sends broken ids or "
                "damaged data.",
            },
        ),
        Alert(
            "EvalspanRequestsRejected",
            f"{rejected} > 0",
            "warning",
            {
                "summary": '{{ printf "%.0f" $value }} requests were turned away in the last 15 '
                "minutes: {{ $labels.reason }}.",
                "description": "A full log or disk makes the Collector wait and try again, so "
                "nothing is lost yet: make room. Requests that are too large or damaged are not "
                "tried again.",
            },
        ),
    ]


def _processes(watched: Watched) -> list[Alert]:
    job = f'up{{job="{watched.alerts.job}"}}'
    lag = watched.alerts.lag.total_seconds()
    return [
        Alert(
            "EvalspanPipelineLag",
            f"max by (job, instance) (evalspan_pipeline_lag_seconds) > {lag:g}",
            "warning",
            {
                "summary": "Scores are {{ $value | humanizeDuration }} behind: what the apps sent "
                "since then is safe, but not scored yet.",
                "description": "The sidecar on {{ $labels.instance }} takes more than it can work "
                "off, or its pipeline stands still. Look at its log and at the dashboard "
                "Pipeline.",
            },
            hold="5m",
        ),
        Alert(
            "EvalspanSidecarDown",
            # The second part holds on where a process that dies again and again answers now
            # and then; not for a target that is no longer one.
            f"{job} == 0\nor (avg_over_time({job}[10m]) < 0.5 and {job})\nor absent({job})",
            "critical",
            {
                "summary": "evalspan does not answer{{ with $labels.instance }} on {{ . }}"
                "{{ end }}; quality is not being watched.",
                "description": "The apps are not affected. The Collector keeps spans for a while "
                "(as long as its queue is set to) and sends them when the sidecar is back.",
            },
            hold="2m",
        ),
        Alert(
            "EvalspanReceiverDown",
            "evalspan_receiver_up == 0",
            "critical",
            {
                "summary": "evalspan on {{ $labels.instance }} takes no spans; quality is not "
                "being watched.",
                "description": "Its metrics page answers, but the process that receives does not. "
                "The apps are not affected; the Collector keeps spans for a while and tries "
                "again.",
            },
            hold="2m",
        ),
        Alert(
            "EvalspanAnalysisDown",
            "evalspan_analysis_up == 0",
            "warning",
            {
                "summary": "evalspan on {{ $labels.instance }} scores answers, but does not look "
                "for regressions.",
                "description": "The last analysis did not run to its end, so a drop in quality "
                "would not be reported. The log of the sidecar says why.",
            },
            hold="15m",
        ),
        Alert(
            "EvalspanAnalysisFailing",
            counted_within("evalspan_analysis_errors_total", "1h", "job, instance, part") + " > 0",
            "warning",
            {
                "summary": "evalspan on {{ $labels.instance }} could not do all it had to: "
                '{{ $labels.part }} failed {{ printf "%.0f" $value }} times in an hour.',
                "description": "The rest was done. A report or a search is tried again; a mute "
                "that cannot be read mutes nothing. The log of the sidecar says why.",
            },
        ),
        Alert(
            "EvalspanWordDamaged",
            "evalspan_word_damaged == 1",
            "warning",
            {
                "summary": "run/{{ $labels.word }}.json on {{ $labels.instance }} cannot be read; "
                "its values are missing on the page, or are the last ones known.",
                "description": "It is written anew every minute, or every second where it is the "
                "receiver's. If it stays damaged, another program writes it or the disk is bad.",
            },
            hold="10m",
        ),
    ]
