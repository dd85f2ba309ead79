"""Every metric in one table: the page of the reference is made from it."""

from dataclasses import dataclass
from typing import Final, Literal

from evalspan.model import VERDICTS

Kind = Literal["counter", "gauge", "histogram", "info"]
# The base units there are; OpenMetrics wants them as the last word of the name.
UNITS: Final = ("seconds", "bytes", "usd")

# Bounds that the GenAI conventions advise for their client metrics.
SECONDS: Final = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
FIRST_CHUNK_SECONDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
TOKENS: Final = tuple(float(4**n) for n in range(14))
# For a check that states no bounds of its own: shares and small numbers.
VALUES: Final = (
    *(0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
    *(2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0),
)

CALL: Final = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "service_name",
)
PROMPT: Final = ("service", "prompt", "prompt_version", "model")
EVERY_VERDICT: Final = (*VERDICTS, "none", "error")
DIMENSIONS: Final = "the configured dimensions"
# Labels that say what was counted: they stay on the series that takes what overflows.
SUBJECT: Final = ("check", "item", "verdict", "error_type", "gen_ai_token_type")
REGRESSION: Final = ("id", "check", "kind", "direction", "slice")


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: its name without `_total`, what kind it is, its help and labels."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The base unit, which is the last word of the name; empty where there is none.

        `gen_ai_client_token_usage` has none: {token} is an annotation to OpenTelemetry, and
        its Prometheus exporter writes no suffix for it. `evalspan_check_value` has that of
        its check.
        """
        last = self.name.rpartition("_")[2]
        return last if last in UNITS else ""

    @property
    def family(self) -> str:
        """The name in OpenMetrics, where `_info` is a suffix as `_total` is."""
        return self.name.removesuffix("_info") if self.kind == "info" else self.name


DECLARED: Final = (
    Declared(
        "evalspan_verdicts",
        "counter",
        "Verdicts of checks and checklists: pass, fail, none (no verdict) or error.",
        ("check", "item", "verdict", *PROMPT, DIMENSIONS),
    ),
    Declared(
        "evalspan_check_value",
        "histogram",
        "Numbers that checks measured, in the unit of the check. One below 0 is in the lowest "
        "bucket and adds nothing to the sum, which must not fall; a check whose bounds begin "
        "below 0 has no sum and no count.",
        ("check", *PROMPT, DIMENSIONS),
        VALUES,
    ),
    Declared(
        "gen_ai_client_operation_duration_seconds",
        "histogram",
        "Duration of model calls, each counted once.",
        (*CALL, "error_type"),
        SECONDS,
    ),
    Declared(
        "gen_ai_client_token_usage",
        "histogram",
        "Tokens of model calls, each call counted once.",
        (*CALL, "gen_ai_token_type"),
        TOKENS,
    ),
    Declared(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "histogram",
        "Time until the first piece of a streamed answer.",
        CALL,
        FIRST_CHUNK_SECONDS,
    ),
    Declared("evalspan_cost_usd", "counter", "Price of model calls, US dollars.", PROMPT),
    Declared("evalspan_judge_cost_usd", "counter", "What judges cost, US dollars.", ("check",)),
    Declared(
        "evalspan_spans",
        "counter",
        "Spans by what became of them: received = stored + duplicate + quarantined.",
        ("outcome",),
    ),
    Declared(
        "evalspan_log_records",
        "counter",
        "Log records by what became of them.",
        ("outcome",),
    ),
    Declared("evalspan_requests", "counter", "Requests accepted.", ("signal",)),
    Declared("evalspan_request_bytes", "counter", "Bytes of the requests accepted.", ("signal",)),
    Declared(
        "evalspan_rejected_requests",
        "counter",
        "Requests that were not accepted, by reason.",
        ("reason",),
    ),
    Declared("evalspan_receiver_up", "gauge", "1 if the receiver wrote its counters lately."),
    Declared("evalspan_wal_bytes", "gauge", "Bytes of the log on disk."),
    Declared(
        "evalspan_pending_spans",
        "gauge",
        "Spans of traces that have not settled; not told while a start catches up with the log.",
    ),
    Declared("evalspan_pending_segments", "gauge", "Closed segments that are not stored."),
    Declared(
        "evalspan_pipeline_lag_seconds",
        "gauge",
        "Age of the oldest closed segment that is not stored; 0 if there is none.",
    ),
    Declared("evalspan_traces_settled", "counter", "Traces evaluated, by why.", ("reason",)),
    Declared(
        "evalspan_evaluations",
        "counter",
        "Evaluations: expected = done + skipped + error + pending.",
        ("check", "outcome", "reason"),
    ),
    Declared(
        "evalspan_evaluations_pending",
        "gauge",
        "Evaluations expected and not yet made.",
        ("check",),
    ),
    Declared(
        "evalspan_spans_unaccounted",
        "gauge",
        "Spans received that are neither in the tables nor duplicate, quarantined or pending: 0, "
        "or something was lost.",
    ),
    Declared(
        "evalspan_evaluations_unaccounted",
        "gauge",
        "Evaluations expected of which no verdict, error or skip is in the tables, those that "
        "are pending aside: 0, or something was lost.",
        ("check",),
    ),
    Declared("evalspan_label_overflow", "counter", "Values put into __other__.", ("dimension",)),
    Declared(
        "evalspan_series_overflow",
        "counter",
        "What was counted on the series whose dimensions are all __other__, because its metric "
        "has as many series as its budget allows.",
        ("metric",),
    ),
    Declared("evalspan_check_info", "info", "Checks in force.", ("check", "revision", "evaluator")),
    Declared("evalspan_build_info", "info", "Version that runs.", ("version",)),
    Declared(
        "evalspan_regression_open",
        "gauge",
        "1 while a comparison is open or worsening; its direction says what it is. Muted and "
        "recovered ones are not here.",
        REGRESSION,
    ),
    Declared(
        "evalspan_regression_state",
        "gauge",
        "1 for the state of each comparison that is not resolved: open, worsening, muted or "
        "recovered.",
        (*REGRESSION, "state"),
    ),
    Declared(
        "evalspan_regression_effect",
        "gauge",
        "Candidate minus baseline pass rate of a comparison that is not resolved.",
        REGRESSION,
    ),
    Declared(
        "evalspan_regression_baseline_score",
        "gauge",
        "Pass rate of its baseline.",
        REGRESSION,
    ),
    Declared(
        "evalspan_regression_candidate_score",
        "gauge",
        "Pass rate of its candidate.",
        REGRESSION,
    ),
    Declared(
        "evalspan_regression_samples",
        "gauge",
        "Verdicts on either side of it.",
        (*REGRESSION, "side"),
    ),
    Declared(
        "evalspan_regression_change_timestamp_seconds",
        "gauge",
        "Estimated time of its change, seconds since 1970.",
        REGRESSION,
    ),
    Declared("evalspan_analysis_up", "gauge", "1 if the analysis ran to its end lately."),
    Declared(
        "evalspan_analysis_errors",
        "counter",
        "What the analysis could not do and went on without: a report (tried again), a search "
        "for a better prompt that could not be told (tried again), a mute that cannot be read.",
        ("part",),
    ),
    Declared(
        "evalspan_failed_merges",
        "counter",
        "Times that the small files of a table could not be merged; it is tried again.",
        ("table",),
    ),
    Declared(
        "evalspan_word_damaged",
        "gauge",
        "1 if what a process left in the folder run/ for this page cannot be read.",
        ("word",),
    ),
)
