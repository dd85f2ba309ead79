"""What the dashboard says in its first row: how good the answers are, and where they got worse."""  # noqa: INP001 - scripts

import queries as ask
from grafana_foundation_sdk.builders import table
from panels import GREEN, RED, YELLOW, Query, Section, Words, number, rows, series


def quality() -> Section:
    """Scores: how good the answers are, and where they got worse."""
    return "Quality: are the answers good?", [
        number(
            Words(
                "Pass rate",
                "Share of verdicts that passed, over the chosen checks and window. Read it with "
                "the number of verdicts beside it.",
                "percentunit",
            ),
            Query(
                f"sum({ask.verdicts('check', 'pass')}) / (sum({ask.verdicts('check')}) > 0)",
                "pass rate",
            ),
            (None, RED),
            (0.8, YELLOW),
            (0.95, GREEN),
        ),
        number(
            Words(
                "Verdicts",
                "How many verdicts (pass or fail) the pass rate stands on, over the window.",
                "short",
            ),
            Query(f"sum({ask.verdicts('check')})", "verdicts"),
            (None, GREEN),
        ),
        number(
            Words(
                "Regressions open",
                "Comparisons in which the newer side is proven worse: a check, a slice and a "
                "version or time each. Every one has a report below.",
                "short",
            ),
            Query('sum(evalspan_regression_open{direction="regression"}) or vector(0)', "open"),
            (None, GREEN),
            (1, RED),
        ),
        number(
            Words(
                "Model calls",
                "Calls to language models per second, each counted once.",
                "reqps",
            ),
            Query(
                "sum("
                + ask.rate(
                    "gen_ai_client_operation_duration_seconds_count", ask.CALLS, "service_name"
                )
                + ")",
                "calls",
            ),
            (None, GREEN),
        ),
        number(
            Words("Cost", "US dollars spent on model calls over the window.", "currencyUSD"),
            Query(f"sum({ask.increase('evalspan_cost_usd_total', ask.COSTS, 'service')})", "cost"),
            (None, GREEN),
        ),
        number(
            Words(
                "evalspan",
                "1: the receiver takes spans and the analysis runs. 0: look at the row of the "
                "ledger below.",
                "short",
            ),
            Query("min(evalspan_receiver_up) * min(evalspan_analysis_up)", "up"),
            (None, RED),
            (1, GREEN),
        ),
        series(
            Words(
                "Pass rate per check",
                "Share of verdicts that passed, per check, over the window behind each point. "
                "Dots on the line are example traces.",
                "percentunit",
            ),
            Query(ask.pass_rate("check"), "{{check}}", exemplars=True),
            share=True,
        ),
        series(
            Words(
                "Pass rate per prompt version",
                "The same split by prompt and version: a drop that starts with a new version "
                "points at the change of the prompt.",
                "percentunit",
            ),
            Query(ask.pass_rate("prompt, prompt_version"), "{{prompt}} {{prompt_version}}"),
            share=True,
        ),
        rows(
            Words(
                "Scores by check, prompt and version",
                "One row for each check, prompt, version and model: the pass rate and the number "
                "of verdicts it stands on, over the window. Do not read a rate that stands on "
                "a handful of verdicts.",
                "short",
            ),
            [
                (
                    Query(ask.pass_rate("check, prompt, prompt_version, model")),
                    "pass rate",
                    "percentunit",
                ),
                (Query(ask.verdicts("check, prompt, prompt_version, model")), "verdicts", "short"),
            ],
        ),
        series(
            Words(
                "The eight worst customers",
                "Pass rate per check and customer, the lowest eight now: an average hides one "
                "customer for whom everything fails.",
                "percentunit",
            ),
            Query(f"bottomk(8, {ask.pass_rate('check, customer')})", "{{check}} {{customer}}"),
            share=True,
        ),
        series(
            Words(
                "Verdicts by result",
                "Verdicts per second: passed, failed, none (the check could not tell) and error "
                "(the check itself broke).",
                "ops",
            ),
            Query(ask.rate("evalspan_verdicts_total", ask.VERDICTS, "verdict"), "{{verdict}}"),
            stacked=True,
        ),
        series(
            Words(
                "Measured values, 95th percentile",
                "What checks measured, in each check's own unit: 19 of 20 spans are below. "
                "Estimated from the buckets of the histogram.",
                "short",
            ),
            Query(
                ask.quantile(0.95, "evalspan_check_value", ask.SPANS, "check"),
                "{{check}}",
                exemplars=True,
            ),
        ),
        series(
            Words(
                "Questions of checklists",
                "Share of yes answers, as the judge gave them, per question. A judge errs: look at "
                "the quotes in the table of scores before you act on a small change.",
                "percentunit",
            ),
            Query(ask.pass_rate("check, item", ask.QUESTIONS), "{{check}} {{item}}"),
            share=True,
        ),
        regressions(),
    ]


def regressions() -> table.Panel:
    """Open regressions with both scores."""
    columns = [("baseline", "baseline_score"), ("now", "candidate_score"), ("difference", "effect")]
    return rows(
        Words(
            "Open regressions",
            "Each row is one proven drop: which check, for whom (slice {} means everybody), the "
            "pass rate before and now. The difference is taken within like groups, so a change "
            "of the mix of traffic is not in it.",
            "percentunit",
        ),
        [
            (
                Query(f"evalspan_regression_{metric}{{{ask.REGRESSIONS}}}"),
                title,
                "percentunit",
            )
            for title, metric in columns
        ],
        hidden=("__name__", "instance", "job", "direction"),
    )
