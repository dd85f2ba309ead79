"""Prompt: the versions of one prompt side by side."""  # noqa: INP001 - a folder of scripts, no package

import queries as ask
from panels import (
    REPORT,
    TRACES,
    Panel,
    Query,
    Section,
    Words,
    found,
    rows,
    series,
)

BY = "check, prompt_version, model"
EXTRA = f'check="tokens",{ask.PROMPTS}'


def prompt() -> list[Section]:
    """Return the rows of the page."""
    return [_scores(), _cost(), ("Failures: what do they look like?", [_failing()])]


def _scores() -> Section:
    return "Versions side by side", [
        rows(
            Words(
                "Scores by check, version and model",
                "The pass rate and the number of verdicts it stands on, over the window. Do not "
                "read a rate that stands on a handful of verdicts.",
            ),
            [
                (Query(ask.pass_rate(BY)), "pass rate", "percentunit"),
                (Query(ask.verdicts(BY)), "verdicts", "short"),
            ],
        ),
        series(
            Words(
                "Pass rate per check and version",
                "The same over time: versions that run beside each other can be compared at once, "
                "those that follow each other across the mark. Dots are example traces.",
                "percentunit",
            ),
            Query(
                ask.pass_rate("check, prompt_version"),
                "{{check}} {{prompt_version}}",
                exemplars=True,
            ),
            Query("vector($target)", "target"),
            share=True,
        ),
        series(
            Words(
                "Pass rate per customer and version",
                "The lowest twelve now: a version can be better for most and break one customer.",
                "percentunit",
            ),
            Query(
                f"bottomk(12, {ask.pass_rate('customer, prompt_version')})",
                "{{customer}} {{prompt_version}}",
            ),
            share=True,
        ),
        series(
            Words(
                "Questions of checklists",
                "Share of yes answers, as the judge gave them, per question and version. A judge "
                "errs: look at the quotes in the table of scores before you act on a small change.",
                "percentunit",
                "No checklist has been answered for this prompt.",
            ),
            Query(
                ask.pass_rate(
                    "check, item, prompt_version",
                    ask.QUESTIONS.replace('prompt=~"$prompt",prompt_version=~"$version",', ""),
                ),
                "{{check}} {{item}} {{prompt_version}}",
            ),
            share=True,
        ),
        series(
            Words(
                "Verdicts by result",
                "Verdicts per second: passed, failed, none (the check could not tell) and error "
                "(the check itself broke).",
                "ops",
            ),
            Query(
                ask.rate("evalspan_verdicts_total", ask.VERDICTS, "verdict, prompt_version"),
                "{{verdict}} {{prompt_version}}",
            ),
            stacked=True,
            width=24,
        ),
    ]


def _cost() -> Section:
    return "Tokens, cost and time per version", [
        series(
            Words(
                "Tokens per answer",
                "Mean number of tokens of a call, read and written, per version: a longer prompt "
                "costs with every call. Measured by the check `tokens`.",
                "short",
                "Write `tokens: {}` under `checks` in the config to see the tokens here.",
            ),
            Query(ask.mean("evalspan_check_value", EXTRA, "prompt_version"), "{{prompt_version}}"),
            width=8,
        ),
        series(
            Words(
                "Cost per hour",
                "US dollars an hour at the present pace, per version and model.",
                "currencyUSD",
                "No price is known for these models: set `prices` in the config.",
            ),
            Query(
                "3600 * "
                + ask.rate("evalspan_cost_usd_total", ask.PROMPTS, "prompt_version, model"),
                "{{prompt_version}} {{model}}",
            ),
            width=8,
            stacked=True,
        ),
        series(
            Words(
                "Measured values, 95th percentile",
                "What checks measured, in each check's own unit (latency: milliseconds): 19 of 20 "
                "are below. Estimated from the buckets of the histogram.",
            ),
            Query(
                ask.quantile(0.95, "evalspan_check_value", ask.SPANS, "check, prompt_version"),
                "{{check}} {{prompt_version}}",
                exemplars=True,
            ),
            width=8,
        ),
    ]


def _failing() -> Panel:
    fields = {
        "title": "title",
        "reason": "failures.reasons[0].words",
        "count": "failures.reasons[0].count",
        "report": "report_url",
    }
    return found(
        Words(
            "Top failing examples",
            "The commonest reason of each regression that was reported, how often it was given, "
            "and an example: click the trace to open it.",
            missing="No regression of these checks has been reported to Loki.",
        ),
        ask.records(
            "evalspan.regression",
            fields,
            'evalspan_check=~"$check"',
            'evalspan_view=~"$view"',
        ),
        {
            "evalspan_check": "check",
            "title": "what happened",
            "reason": "commonest reason",
            "count": "times",
            "trace_id": "trace",
            "report": "report",
        },
        units={"times": "short"},
        links={"trace": TRACES, "report": (REPORT,)},
    )
