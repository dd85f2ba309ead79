"""Pipeline: was everything seen, is it in time, and what do judges cost?"""  # noqa: INP001 - scripts

import queries as ask
from panels import GREEN, NONE_IS_FINE, RED, YELLOW, Query, Section, Words, number, rows, series

UP = ((None, RED), (1, GREEN))
WAITS = "The ledger has not been read yet: it is after the first minute."


def pipeline() -> list[Section]:
    """Return the rows of the page."""
    return [_now(), _ledger(), _queue(), _judges()]


def _now() -> Section:
    return "Now", [
        number(
            Words(
                "Spans unaccounted for",
                "Received less stored, duplicate, quarantined and waiting, from the tables. "
                "Anything but 0 that stays is a fault.",
                missing=WAITS,
                steps=NONE_IS_FINE,
            ),
            Query("sum(evalspan_spans_unaccounted)", "spans"),
        ),
        number(
            Words(
                "Evaluations unaccounted for",
                "Expected less done, skipped, failed and waiting. Anything but 0 that stays is "
                "a fault: an evaluation silently never ran.",
                missing=WAITS,
                steps=NONE_IS_FINE,
            ),
            Query(f"sum(evalspan_evaluations_unaccounted{{{ask.CHECKS}}})", "evaluations"),
        ),
        number(
            Words(
                "Lag",
                "Age of the oldest data that was accepted and is not stored yet.",
                "s",
                steps=((None, GREEN), (30, YELLOW), (120, RED)),
            ),
            Query("max(evalspan_pipeline_lag_seconds)", "lag"),
        ),
        number(
            Words("Receiver", "1 while the process that takes spans answers.", steps=UP),
            Query("min(evalspan_receiver_up)", "receiver"),
        ),
        number(
            Words("Analysis", "1 while the last look for regressions ran to its end.", steps=UP),
            Query("min(evalspan_analysis_up)", "analysis"),
        ),
        number(
            Words("Version", "The version of evalspan that runs, per sidecar."),
            Query("evalspan_build_info", "{{version}}"),
            named=True,
        ),
    ]


def _ledger() -> Section:
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
        series(
            Words(
                "Log records by outcome",
                "The same for log records that came beside spans, per second.",
                "ops",
            ),
            Query(ask.rate("evalspan_log_records_total", "", "outcome"), "{{outcome}}"),
            width=8,
        ),
        series(
            Words(
                "Traces settled",
                "Traces that were evaluated, per second, by why they were taken to be complete.",
                "ops",
            ),
            Query(ask.rate("evalspan_traces_settled_total", "", "reason"), "{{reason}}"),
            width=8,
        ),
        series(
            Words(
                "Values beyond their budget",
                "Rows per second whose label became __other__, per dimension, and what a metric "
                "with too many series counted with all dimensions as __other__: scores are "
                "complete in the tables, only the metrics are merged.",
                "ops",
            ),
            Query(
                f"{ask.rate('evalspan_label_overflow_total', '', 'dimension')} or vector(0)",
                "{{dimension}}",
            ),
            Query(
                f"{ask.rate('evalspan_series_overflow_total', '', 'metric')} or vector(0)",
                "series of {{metric}}",
            ),
            width=8,
        ),
    ]


def _queue() -> Section:
    return "Queue: is it in time?", [
        series(
            Words(
                "Lag",
                "Age of the oldest data that is accepted and not stored: growing means that more "
                "comes in than is worked off.",
                "s",
                steps=((None, GREEN), (120, RED)),
            ),
            Query("max by (instance) (evalspan_pipeline_lag_seconds)", "{{instance}}"),
            width=6,
        ),
        series(
            Words(
                "Waiting",
                "Spans of traces that have not settled, closed segments of the log, and "
                "evaluations that are due: judges among them.",
            ),
            Query("sum(evalspan_pending_spans)", "spans"),
            Query("sum(evalspan_pending_segments)", "segments"),
            Query(f"sum(evalspan_evaluations_pending{{{ask.CHECKS}}})", "evaluations"),
            width=6,
        ),
        series(
            Words(
                "Log on disk",
                "Bytes of the write-ahead log, which holds what is accepted until it is stored.",
                "bytes",
            ),
            Query("sum by (instance) (evalspan_wal_bytes)", "{{instance}}"),
            width=6,
        ),
        series(
            Words(
                "Requests",
                "Requests per second that were taken, by signal, and those that were turned away, "
                "by reason.",
                "reqps",
            ),
            Query(ask.rate("evalspan_requests_total", "", "signal"), "{{signal}}"),
            Query(
                f"{ask.rate('evalspan_rejected_requests_total', '', 'reason')} or vector(0)",
                "turned away {{reason}}",
            ),
            width=6,
        ),
    ]


def _judges() -> Section:
    return "Checks and judges: what runs, and what does it cost?", [
        series(
            Words(
                "Judges' cost per hour",
                "US dollars an hour at the present pace that judges cost, per checklist.",
                "currencyUSD",
                "No checklist has asked a judge, or no price is known for its model.",
            ),
            Query(
                "3600 * " + ask.rate("evalspan_judge_cost_usd_total", ask.CHECKS, "check"),
                "{{check}}",
            ),
        ),
        series(
            Words(
                "Evaluations left out or broken",
                "Evaluations per second that were skipped or failed, per check and reason.",
                "ops",
                "Nothing was left out, and nothing broke.",
            ),
            Query(
                ask.rate(
                    "evalspan_evaluations_total",
                    f'outcome=~"skipped|error",{ask.CHECKS}',
                    "check, outcome, reason",
                )
                + " or vector(0)",
                "{{check}} {{outcome}} {{reason}}",
            ),
        ),
        rows(
            Words(
                "Checks in force",
                "Every check with its revision: a score before and after a change of the revision "
                "is not the same measure.",
                missing="No check is configured.",
            ),
            [(Query(f"evalspan_check_info{{{ask.CHECKS}}}"), "in force", "short")],
            hidden=("__name__", "instance", "job"),
            width=12,
        ),
        series(
            Words(
                "What evalspan went on without",
                "What could not be done since the start, by part: reports, searches and merges of "
                "small files are tried again. A file in the folder run/ that cannot be read is "
                "a 1.",
            ),
            Query(
                "sum by (part) (evalspan_analysis_errors_total) or vector(0)",
                "not done: {{part}}",
            ),
            Query(
                "sum by (table) (evalspan_failed_merges_total) or vector(0)",
                "files not merged: {{table}}",
            ),
            Query("max by (word) (evalspan_word_damaged) or vector(0)", "cannot be read: {{word}}"),
        ),
    ]
