"""Regression: one proven drop, what moved with it, and what the report says."""  # noqa: INP001 - scripts

import queries as ask
from infra import accelerators, hosts, model_server
from panels import (
    REPORT,
    TRACES,
    Panel,
    Query,
    Section,
    Words,
    found,
    lines,
    number,
    series,
)

THIS_ONE = 'regression_id="$id"'
GONE = "This regression is over: its numbers stand in the report."


def regression() -> list[Section]:
    """Return the rows of the page."""
    return [_what(), _where(), _moved(), _why()]


def _what() -> Section:
    share = "percentunit"
    gauges = [
        ("Before", "Pass rate of the baseline.", share, "baseline_score", 1),
        ("Now", "Pass rate since the change.", share, "candidate_score", 1),
        ("Difference", "Now less before, within like groups of traffic.", share, "effect", 1),
        (
            "Since",
            "When the change is estimated to have happened.",
            "dateTimeFromNow",
            _SINCE,
            1000,
        ),
    ]
    panels: list[Panel] = [
        number(
            Words(title, f"{text} Read it with the sample sizes beside it.", unit, GONE),
            Query(f"{factor} * evalspan_regression_{name}{{{ask.THIS}}}", title),
            width=4,
        )
        for title, text, unit, name, factor in gauges
    ]
    samples = Words(
        "Verdicts since",
        "Number of verdicts since the change, on which the rate of now stands.",
        missing=GONE,
    )
    state = Words(
        "State",
        "open, worsening, recovered (back, and waiting whether it stays), or muted by a person.",
        missing="resolved, or unknown",
    )
    query = f'evalspan_regression_samples{{{ask.THIS},side="candidate"}}'
    return "What happened", [
        *panels,
        number(samples, Query(query, "verdicts"), width=4),
        number(
            state,
            Query(f"evalspan_regression_state{{{ask.THIS}}} == 1", "{{state}}"),
            width=4,
            named=True,
        ),
        series(
            Words(
                "Before and after",
                "Pass rate of the check in all traffic, with both sides of the comparison as "
                "levels. Dots are example traces.",
                "percentunit",
            ),
            Query(ask.pass_rate("check", ask.OF_CHECK), "all traffic", exemplars=True),
            Query(f"max(evalspan_regression_baseline_score{{{ask.THIS}}})", "before"),
            Query(f"max(evalspan_regression_candidate_score{{{ask.THIS}}})", "now"),
            share=True,
            width=24,
        ),
    ]


_SINCE = "change_timestamp_seconds"


def _where() -> Section:
    sliced = [
        ("customer", "Per customer, the lowest ten now: is it everybody, or one?", 10),
        ("prompt_version", "Per version of the prompt: did it come with a change of it?", 10),
        ("model", "Per model: did it come with another one, or with a new release?", 10),
    ]
    return "Where: which slices fell?", [
        *(
            series(
                Words(f"Pass rate per {name.replace('_', ' ')}", text, "percentunit"),
                Query(f"bottomk({most}, {ask.pass_rate(name, ask.OF_CHECK)})", f"{{{{{name}}}}}"),
                width=8,
                share=True,
            )
            for name, text, most in sliced
        ),
        _causes(),
    ]


def _causes() -> Panel:
    fields = {
        "regression_id": "regression_id",
        "rank": "rank",
        "kind": "kind",
        "title": "title",
        "share": "share",
        "before": "rates.before",
        "after": "rates.after",
        "before_n": "rates.before_n",
        "after_n": "rates.after_n",
        "advice": "countermeasure",
    }
    return found(
        Words(
            "Causes, by rank",
            "What the report found: how much of the drop each cause explains (1 is all of it), "
            "with the rates and the numbers of verdicts on both sides, and what to do.",
            missing="No cause has been reported to Loki for this regression.",
        ),
        ask.records("evalspan.root_cause", fields, THIS_ONE),
        {
            "rank": "rank",
            "kind": "kind",
            "title": "cause",
            "share": "share of the drop",
            "before": "before",
            "after": "after",
            "before_n": "verdicts before",
            "after_n": "verdicts after",
            "advice": "what to do",
            "trace_id": "trace",
        },
        units={
            "rank": "short",
            "share of the drop": "percentunit",
            "before": "percentunit",
            "after": "percentunit",
            "verdicts before": "short",
            "verdicts after": "short",
        },
        links={"trace": TRACES},
    )


def _moved() -> Section:
    return "What moved with it?", [
        series(
            Words(
                "Latency, 95th percentile",
                "Of all model calls, per model: a slow provider gives up earlier. Dots are traces.",
                "s",
            ),
            Query(
                ask.quantile(0.95, ask.DURATION, "", ask.MODEL),
                f"{{{{{ask.MODEL}}}}}",
                exemplars=True,
            ),
            width=6,
        ),
        series(
            Words("Errors", "Model calls per second that failed, by kind of error.", "reqps"),
            Query(ask.rate(f"{ask.DURATION}_count", "", "error_type"), "{{error_type}}"),
            width=6,
        ),
        series(
            Words(
                "Tokens per call",
                "Mean of all model calls, read and written: a cut prompt or a short answer shows.",
            ),
            Query(
                ask.mean("gen_ai_client_token_usage", "", "gen_ai_token_type"),
                "{{gen_ai_token_type}}",
            ),
            width=6,
        ),
        series(
            Words("Traffic", "Verdicts of the check per second, per service.", "ops"),
            Query(ask.rate("evalspan_verdicts_total", ask.OF_CHECK, "service"), "{{service}}"),
            width=6,
        ),
        *hosts(),
        *accelerators(),
        *model_server(),
    ]


def _why() -> Section:
    story = (
        '{service_name="evalspan"} | event_name=~"evalspan.*"'
        ' | json regression_id="regression_id", title="title", summary="summary",'
        f' advice="countermeasure", diff="prompt_diff" | {THIS_ONE}'
        ' | line_format "{{.event_name}}: {{.title}} {{.summary}} {{.advice}}\\n{{.diff}}"'
    )
    fields = {"regression_id": "regression_id", "title": "title", "report": "report_url"}
    return "Why: what the report says", [
        lines(
            Words(
                "Report",
                "The regression, each cause with what to do and the change of the prompt, and the "
                "search for a better one, newest first.",
                missing="Nothing has been reported to Loki for this regression.",
            ),
            story,
        ),
        found(
            Words(
                "Example traces",
                "Traces that show the regression and its causes: click one to open it.",
                missing="No record with a trace has been sent to Loki for this regression.",
            ),
            ask.records("evalspan.*", fields, THIS_ONE, 'trace_id!=""'),
            {
                "event_name": "record",
                "title": "what it shows",
                "trace_id": "trace",
                "span_id": "span",
                "report": "report",
            },
            links={"trace": TRACES, "report": (REPORT,)},
        ),
    ]
