"""What the dashboard says, row by row: titles, texts, units and queries."""  # noqa: INP001 - scripts

from collections.abc import Sequence

import queries as ask
from grafana_foundation_sdk.builders import logs, stat, table, timeseries
from panels import GREEN, RED, YELLOW, Query, Words, lines, number, rows, series

Panel = logs.Panel | stat.Panel | table.Panel | timeseries.Panel
Section = tuple[str, Sequence[Panel]]


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
                ask.quantile(0.95, "evalspan_check_value", ask.VERDICTS, "check"),
                "{{check}}",
                exemplars=True,
            ),
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
        width=24,
    )


def calls() -> Section:
    """Model calls: time, tokens, money, errors."""
    duration = "gen_ai_client_operation_duration_seconds"
    first = "gen_ai_client_operation_time_to_first_chunk_seconds"
    tokens = "gen_ai_client_token_usage_sum"
    model = "gen_ai_request_model"
    return "Model calls: how fast and how expensive?", [
        series(
            Words(
                "Latency",
                "How long model calls take: half of them, 19 of 20, and 99 of 100 are faster than "
                "the line. Dots are example traces.",
                "s",
            ),
            *(
                Query(
                    ask.quantile(share, duration, ask.CALLS, model),
                    f"p{share * 100:g} {{{{{model}}}}}",
                    exemplars=share == 0.95,  # noqa: PLR2004 - one line with dots is enough
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        series(
            Words(
                "Time to the first piece of the answer, 95th percentile",
                "Only streamed calls have it: what a user waits before text appears.",
                "s",
            ),
            Query(ask.quantile(0.95, first, ask.CALLS, model), f"{{{{{model}}}}}"),
        ),
        series(
            Words("Tokens", "Tokens per second, read (input) and written (output).", "short"),
            Query(
                ask.rate(tokens, ask.CALLS, f"gen_ai_token_type, {model}"),
                f"{{{{gen_ai_token_type}}}} {{{{{model}}}}}",
            ),
            stacked=True,
        ),
        series(
            Words(
                "Cost per hour",
                "US dollars an hour at the present pace, per prompt version and model.",
                "currencyUSD",
            ),
            Query(
                "3600 * "
                + ask.rate("evalspan_cost_usd_total", ask.COSTS, "prompt, prompt_version, model"),
                "{{prompt}} {{prompt_version}} {{model}}",
            ),
            stacked=True,
        ),
        series(
            Words(
                "Calls by result",
                "Model calls per second by kind of error; a line without a name is success.",
                "reqps",
            ),
            Query(ask.rate(f"{duration}_count", ask.CALLS, "error_type"), "{{error_type}}"),
            stacked=True,
            width=24,
        ),
    ]


def ledger() -> Section:
    """The ledger: what became of every span and every evaluation."""
    return "Ledger: was everything seen?", [
        series(
            Words(
                "Spans by outcome",
                "Spans per second: received = stored + duplicate + quarantined, once all that "
                "came has been written. Quarantined spans could not be read and are kept.",
                "ops",
            ),
            Query(ask.rate("evalspan_spans_total", "", "outcome"), "{{outcome}}"),
        ),
        series(
            Words(
                "Evaluations by outcome",
                "Evaluations per second: expected = done + skipped + error + pending.",
                "ops",
            ),
            Query(ask.rate("evalspan_evaluations_total", ask.CHECKS, "outcome"), "{{outcome}}"),
        ),
        number(
            Words(
                "Spans unaccounted for",
                "Received less stored, duplicate and quarantined. Anything but 0 that stays is "
                "a fault.",
                "short",
            ),
            Query(ask.SPANS_UNACCOUNTED, "spans"),
            (None, GREEN),
            (1, RED),
        ),
        number(
            Words(
                "Evaluations unaccounted for",
                "Expected less done, skipped, failed and pending. Anything but 0 that stays is "
                "a fault: an evaluation silently never ran.",
                "short",
            ),
            Query(ask.EVALUATIONS_UNACCOUNTED, "evaluations"),
            (None, GREEN),
            (1, RED),
        ),
        number(
            Words(
                "Spans waiting",
                "Spans of traces that have not settled yet; 0 when the apps are idle.",
                "short",
            ),
            Query("sum(evalspan_pending_spans)", "spans"),
            (None, GREEN),
        ),
        number(
            Words(
                "Evaluations waiting",
                "Evaluations that are due and not made yet, judges' among them.",
                "short",
            ),
            Query(f"sum(evalspan_evaluations_pending{{{ask.CHECKS}}})", "evaluations"),
            (None, GREEN),
        ),
        number(
            Words(
                "Lag",
                "Age of the oldest data that was accepted and is not stored yet.",
                "s",
            ),
            Query("max(evalspan_pipeline_lag_seconds)", "lag"),
            (None, GREEN),
            (30, YELLOW),
            (120, RED),
        ),
        number(
            Words(
                "Log on disk",
                "Bytes of the write-ahead log, which holds what is accepted until it is stored.",
                "bytes",
            ),
            Query("sum(evalspan_wal_bytes)", "bytes"),
            (None, GREEN),
        ),
    ]


def host() -> Section:
    """Machine: processor and memory."""
    return "Host: is it the machine?", [
        series(
            Words(
                "CPU busy", "Share of all cores in use, per host (node-exporter).", "percentunit"
            ),
            Query(ask.CPU_BUSY, "{{instance}}"),
            share=True,
        ),
        series(
            Words(
                "Memory used",
                "Share of memory that is not available to programs, per host (node-exporter).",
                "percentunit",
            ),
            Query(ask.MEMORY_USED, "{{instance}}"),
            share=True,
        ),
    ]


def reports() -> Section:
    """Reports that were sent to Loki."""
    return "Reports: why, and what to do?", [
        lines(
            Words(
                "Report lines",
                "One line for each report and one for each cause it found, newest first, from "
                "Loki. Open a line for the check, the slice and the example traces.",
                "short",
            ),
            Query(ask.REPORTS),
        ),
    ]


SECTIONS = (quality, calls, ledger, reports, host)
