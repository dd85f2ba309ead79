"""What the dashboard says, row by row: titles, texts, units and queries."""  # noqa: INP001 - scripts

import queries as ask
from panels import GREEN, RED, YELLOW, Query, Section, Words, lines, number, series
from quality import quality


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
