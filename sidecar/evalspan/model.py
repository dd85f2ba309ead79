"""The contract: every table that evalspan keeps, column by column.

All rooms read and write these Arrow schemas and nothing else. Each column
carries its description and, where one exists, the OpenTelemetry name it comes
from; the reference page and the comments of the Delta tables are made from
them. The schemas only grow: a column is added, never renamed or removed.

Ids are lower-case hex text. Times are UTC microseconds. Durations say their
unit in the name. Null means "not known" or "no verdict"; NaN never occurs.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa

TEXT: Final = pa.string()
TIME: Final = pa.timestamp("us", tz="UTC")
INT: Final = pa.int64()
REAL: Final = pa.float64()
FLAG: Final = pa.bool_()
LABELS_MAP: Final = pa.map_(TEXT, TEXT)
# Rows of one commit lie on a few days; those on any others are filed under this day together,
# which a reading of any time looks into as well.
STRAY_DAY: Final = date(1970, 1, 1)
# What stands on every verdict is cut to so many characters: thousands of spans may inherit a text
# that came once, and every check repeats it.
LONGEST_LABEL: Final = 200
_CUT: Final = f" At most {LONGEST_LABEL} characters; SPANS has all of it."

# An attribute that no column took, with its OTLP type kept exactly: one of the
# value fields is set. Arrays and maps stay as the bytes of their AnyValue.
ATTRIBUTE: Final = pa.struct(
    [
        pa.field("key", TEXT, nullable=False),
        pa.field("string", TEXT),
        pa.field("int", INT),
        pa.field("double", REAL),
        pa.field("bool", FLAG),
        pa.field("bytes", pa.binary()),
        pa.field("nested", pa.binary()),
    ],
)
ATTRIBUTES: Final = pa.list_(ATTRIBUTE)
LINK: Final = pa.struct(
    [
        pa.field("trace_id", TEXT),
        pa.field("span_id", TEXT),
        pa.field("trace_state", TEXT),
        pa.field("flags", pa.int64()),
        pa.field("attributes", ATTRIBUTES),
        pa.field("dropped_attributes", pa.int64()),
    ],
)

# What a span does, whatever vendor names it uses.
ROLES: Final = (
    "llm",
    "embedding",
    "agent",
    "workflow",
    "tool",
    "retrieval",
    "evaluation",
    "other",
)
VERDICTS: Final = ("pass", "fail")
EVALUATORS: Final = ("check", "judge", "human", "external")
# One reason each for a verdict that was not computed.
SKIP_REASONS: Final = ("sampled", "budget", "filter", "duplicate")


def _column(
    name: str,
    kind: pa.DataType,
    description: str,
    semconv: str = "",
    *,
    required: bool = False,
) -> pa.Field:
    metadata = {"description": description}
    if semconv:
        metadata["semconv"] = semconv
    return pa.field(name, kind, nullable=not required, metadata=metadata)


@dataclass(frozen=True)
class Table:
    """A table of the contract.

    `name` is its folder below the data folder, `key` the columns that tell two
    rows apart, `time` the column whose UTC day partitions the files (see `STRAY_DAY`).
    """

    name: str
    description: str
    key: tuple[str, ...]
    time: str
    schema: pa.Schema

    def empty(self) -> pa.Table:
        """Return a table of zero rows with this schema."""
        return self.schema.empty_table()


SPANS: Final = Table(
    name="spans",
    description="One row per span of any kind; GenAI columns are filled where it is one.",
    key=("trace_id", "span_id", "content"),
    time="start_time",
    schema=pa.schema(
        [
            _column("trace_id", TEXT, "Trace id, 32 hex digits.", required=True),
            _column("span_id", TEXT, "Span id, 16 hex digits.", required=True),
            _column(
                "content",
                pa.int64(),
                "XXH3-64 of the span's OTLP bytes, as a signed number: tells a repeat "
                "from another span that has the same ids.",
                required=True,
            ),
            _column("parent_span_id", TEXT, "Span id of the parent; null at a root."),
            _column("trace_state", TEXT, "W3C trace state."),
            _column("flags", pa.int64(), "W3C trace flags and the remote-parent bits."),
            _column("name", TEXT, "Name of the span."),
            _column("kind", TEXT, "internal, server, client, producer, consumer, unspecified."),
            _column("start_time", TIME, "Start of the span.", required=True),
            _column("end_time", TIME, "End of the span."),
            _column("start_nanos", pa.int16(), "Nanoseconds of the start below its microsecond."),
            _column("end_nanos", pa.int16(), "Nanoseconds of the end below its microsecond."),
            _column("duration_ms", REAL, "End minus start, milliseconds; null if unknown."),
            _column("status", TEXT, "unset, ok or error."),
            _column("status_message", TEXT, "Status message."),
            _column("service_name", TEXT, "Service.", "service.name"),
            _column("service_version", TEXT, "Release of the service.", "service.version"),
            _column("environment", TEXT, "Deployment.", "deployment.environment.name"),
            _column("resource", TEXT, "The whole resource as OTLP/JSON, schema URL included."),
            _column("scope_name", TEXT, "Instrumentation scope."),
            _column("scope", TEXT, "The whole scope as OTLP/JSON, schema URL included."),
            _column("dialect", TEXT, "The vendor naming that was recognised; null if none."),
            _column("role", TEXT, "What the span does: " + ", ".join(ROLES) + ".", required=True),
            _column("provider", TEXT, "Model provider.", "gen_ai.provider.name"),
            _column("operation", TEXT, "GenAI operation.", "gen_ai.operation.name"),
            _column("request_model", TEXT, "Model asked for.", "gen_ai.request.model"),
            _column("response_model", TEXT, "Model that answered.", "gen_ai.response.model"),
            _column("temperature", REAL, "Sampling temperature.", "gen_ai.request.temperature"),
            _column("max_tokens", INT, "Limit of output tokens.", "gen_ai.request.max_tokens"),
            _column("stream", FLAG, "The answer was streamed.", "gen_ai.request.stream"),
            _column(
                "input_tokens",
                INT,
                "Input tokens, cached ones included.",
                "gen_ai.usage.input_tokens",
            ),
            _column("output_tokens", INT, "Output tokens.", "gen_ai.usage.output_tokens"),
            _column(
                "cache_read_tokens",
                INT,
                "Input tokens read from a cache.",
                "gen_ai.usage.cache_read.input_tokens",
            ),
            _column(
                "cache_write_tokens",
                INT,
                "Input tokens written to a cache.",
                "gen_ai.usage.cache_write.input_tokens",
            ),
            _column(
                "reasoning_tokens",
                INT,
                "Output tokens spent on reasoning.",
                "gen_ai.usage.reasoning.output_tokens",
            ),
            _column("reported_cost_usd", REAL, "Cost as the app reported it, US dollars."),
            _column(
                "time_to_first_token_ms",
                REAL,
                "Milliseconds until the first piece of a streamed answer.",
                "gen_ai.response.time_to_first_chunk",
            ),
            _column(
                "finish_reasons",
                pa.list_(TEXT),
                "Why the model stopped, one per choice: stop, length, tool_calls, "
                "content_filter, error, or the vendor's word.",
                "gen_ai.response.finish_reasons",
            ),
            _column("response_id", TEXT, "The provider's id.", "gen_ai.response.id"),
            _column("system_prompt", TEXT, "System prompt.", "gen_ai.system_instructions"),
            _column(
                "input_messages",
                TEXT,
                "Messages sent, JSON in the form of the GenAI conventions.",
                "gen_ai.input.messages",
            ),
            _column(
                "output_messages",
                TEXT,
                "Messages received, JSON in the form of the GenAI conventions.",
                "gen_ai.output.messages",
            ),
            _column("input_text", TEXT, "Text of the last user message; a tool's arguments."),
            _column("output_text", TEXT, "Text of the answer; a tool's result."),
            _column("tool_definitions", TEXT, "Tools on offer, JSON.", "gen_ai.tool.definitions"),
            _column("tool_name", TEXT, "Tool that was run.", "gen_ai.tool.name"),
            _column("tool_call_id", TEXT, "Id of the tool call.", "gen_ai.tool.call.id"),
            _column("prompt_name", TEXT, "Name of the prompt.", "gen_ai.prompt.name"),
            _column("prompt_version", TEXT, "Version of the prompt.", "gen_ai.prompt.version"),
            _column(
                "prompt_hash",
                TEXT,
                "First 12 hex digits of the SHA-256 of the exact system prompt.",
            ),
            _column("conversation_id", TEXT, "Conversation.", "gen_ai.conversation.id"),
            _column("user_id", TEXT, "User of the app.", "user.id"),
            _column("agent_name", TEXT, "Agent.", "gen_ai.agent.name"),
            _column("workflow_name", TEXT, "Workflow.", "gen_ai.workflow.name"),
            _column("error_type", TEXT, "Class of the error.", "error.type"),
            _column("attributes", ATTRIBUTES, "The attributes that no column holds as they came."),
            _column(
                "promoted",
                TEXT,
                "Which attribute filled which column word for word: `column=key` parts joined "
                "by `;`. With `attributes` it rebuilds the span.",
            ),
            _column("links", pa.list_(LINK), "Links to other spans."),
            _column("dropped_attributes", pa.int64(), "Attributes that the SDK dropped."),
            _column("dropped_events", pa.int64(), "Events that the SDK dropped."),
            _column("dropped_links", pa.int64(), "Links that the SDK dropped."),
            _column("repaired", TEXT, "What was mended on the way in; null if nothing."),
            _column("received_time", TIME, "When it was accepted.", required=True),
            _column("segment", INT, "Segment of the log it came in.", required=True),
        ],
    ),
)

EVENTS: Final = Table(
    name="events",
    description="One row per log record, and per event of a span.",
    key=("trace_id", "span_id", "time", "name", "index", "content"),
    time="time",
    schema=pa.schema(
        [
            _column("trace_id", TEXT, "Trace it belongs to; null if it names none."),
            _column("span_id", TEXT, "Span it belongs to; null if it names none."),
            _column("time", TIME, "When it happened.", required=True),
            _column("time_nanos", pa.int16(), "Nanoseconds below the microsecond."),
            _column("name", TEXT, "Event name."),
            _column("content", pa.int64(), "XXH3-64 of its OTLP bytes.", required=True),
            _column("source", TEXT, "log or span.", required=True),
            _column("index", pa.int32(), "Place in the span's list of events."),
            _column("severity", TEXT, "Severity text of a log record."),
            _column("severity_number", pa.int32(), "Severity number of a log record."),
            _column("body", TEXT, "Body: text as it came, anything else as OTLP/JSON."),
            _column("body_kind", TEXT, "string or json: what `body` holds."),
            _column("observed_time", TIME, "When the collector of the log saw it."),
            _column("flags", pa.int64(), "W3C trace flags."),
            _column("attributes", ATTRIBUTES, "Attributes."),
            _column("dropped_attributes", pa.int64(), "Attributes that the SDK dropped."),
            _column("service_name", TEXT, "Service.", "service.name"),
            _column("resource", TEXT, "The whole resource as OTLP/JSON."),
            _column("scope", TEXT, "The whole scope as OTLP/JSON."),
            _column("repaired", TEXT, "What was mended on the way in; null if nothing."),
            _column("received_time", TIME, "When it was accepted.", required=True),
            _column("segment", INT, "Segment of the log it came in.", required=True),
        ],
    ),
)

SETTLED: Final = Table(
    name="settled",
    description="One row each time a trace was taken as complete and handed to evaluation.",
    key=("trace_id", "attempt"),
    time="settled_time",
    schema=pa.schema(
        [
            _column("trace_id", TEXT, "Trace.", required=True),
            _column("attempt", pa.int32(), "1, and one more for each batch of late spans."),
            _column("settled_time", TIME, "When.", required=True),
            _column("reason", TEXT, "idle, age, overflow or shutdown."),
            _column("spans", INT, "Spans that were evaluated together."),
            _column("late_spans", INT, "Spans that came after an earlier attempt."),
            _column(
                "duplicates",
                pa.list_(TEXT),
                "Span ids of LLM calls that another span of the trace reports as well.",
            ),
            _column("segment", INT, "Segment at which it settled.", required=True),
        ],
    ),
)

SCORES: Final = Table(
    name="scores",
    description="One row per verdict.",
    key=("trace_id", "span_id", "check", "item", "revision", "attempt"),
    time="time",
    schema=pa.schema(
        [
            _column("time", TIME, "Start of the span.", required=True),
            _column("trace_id", TEXT, "Trace.", required=True),
            _column("span_id", TEXT, "Span; of a trace-shaped check the root.", required=True),
            _column("check", TEXT, "Name of the check or checklist.", "gen_ai.evaluation.name"),
            _column("item", TEXT, "Question or field path; empty if the check has one verdict."),
            _column("revision", TEXT, "Hash of everything that decides the verdict."),
            _column(
                "attempt",
                pa.int32(),
                "Attempt of the trace that was evaluated; 0 if it could not be settled.",
            ),
            _column("evaluator", TEXT, "Kind: " + ", ".join(EVALUATORS) + "."),
            _column("value", REAL, "Number measured.", "gen_ai.evaluation.score.value"),
            _column("verdict", TEXT, "pass, fail or null.", "gen_ai.evaluation.score.label"),
            _column("reason", TEXT, "Why, in words.", "gen_ai.evaluation.explanation"),
            _column("evidence", TEXT, "The words of the span that show it."),
            _column("error", TEXT, "What broke while evaluating; null if nothing.", "error.type"),
            _column("skipped", TEXT, "Why it was not evaluated: " + ", ".join(SKIP_REASONS) + "."),
            _column("weight", REAL, "1 / probability that this span was sampled."),
            _column("cost_usd", REAL, "What the verdict cost, US dollars."),
            _column("service_name", TEXT, "Service." + _CUT, "service.name"),
            _column("prompt_name", TEXT, "Prompt." + _CUT, "gen_ai.prompt.name"),
            _column("prompt_version", TEXT, "Version, else the hash of the system prompt." + _CUT),
            _column("model", TEXT, "Model that answered, else the one asked for." + _CUT),
            _column("conversation_id", TEXT, "Conversation." + _CUT, "gen_ai.conversation.id"),
            _column("dimensions", LABELS_MAP, "The configured dimensions and their values." + _CUT),
            _column("evaluated_time", TIME, "When the verdict was made."),
            _column("segment", INT, "Segment at which the trace settled.", required=True),
            _column(
                "about",
                TEXT,
                "span or trace: what was asked about. A verdict about a trace takes the place of "
                "the one of an earlier attempt, whose root may have been another span.",
            ),
        ],
    ),
)

QUARANTINE: Final = Table(
    name="quarantine",
    description="One row per span or log record that could not be read, with its bytes, or for "
    "all of a request that are too small and too many.",
    key=("segment", "offset", "part"),
    time="received_time",
    schema=pa.schema(
        [
            _column("segment", INT, "Segment of the log.", required=True),
            _column("offset", INT, "Offset of its record in the segment.", required=True),
            _column("part", INT, "Which span or log record of the request, from 0.", required=True),
            _column("signal", TEXT, "traces or logs."),
            _column("reason", TEXT, "What is wrong with it, one of a few words.", required=True),
            _column("trace_id", TEXT, "Trace id, as far as it can be read."),
            _column("span_id", TEXT, "Span id, as far as it can be read."),
            _column("bytes", pa.binary(), "Its bytes as they came, or its whole request."),
            _column("resource", TEXT, "The resource it came with as OTLP/JSON, if readable."),
            _column("received_time", TIME, "When it was accepted.", required=True),
            _column("detail", TEXT, "Where in the bytes, how large, what was met instead."),
        ],
    ),
)

LEDGER: Final = Table(
    name="ledger",
    description="What became of everything received and everything to be evaluated.",
    key=("segment", "subject", "outcome", "reason"),
    time="time",
    schema=pa.schema(
        [
            _column("segment", INT, "Segment of the log.", required=True),
            _column("time", TIME, "When the segment was closed.", required=True),
            _column("subject", TEXT, "spans, log_records, traces, or check:NAME.", required=True),
            _column(
                "outcome",
                TEXT,
                "received, stored, duplicate, quarantined; unread: a log record whose content no "
                "span could get; settled; expected, done, skipped, error.",
                required=True,
            ),
            _column("reason", TEXT, "Which kind of it; empty if there is one kind."),
            _column("count", INT, "How many.", required=True),
        ],
    ),
)

REGRESSIONS: Final = Table(
    name="regressions",
    description="One row each time the state of a comparison changed.",
    key=("id", "state", "detected_time"),
    time="detected_time",
    schema=pa.schema(
        [
            _column("id", TEXT, "Stable id of the change, the same in every state.", required=True),
            _column("detected_time", TIME, "When this state was seen.", required=True),
            _column("view", TEXT, "View it was found in."),
            _column("check", TEXT, "Check."),
            _column("kind", TEXT, "time, version or mix."),
            _column(
                "direction",
                TEXT,
                "regression, improvement, mix_shift, or revision: the check itself was changed.",
            ),
            _column("state", TEXT, "open, worsening, recovered, muted or resolved."),
            _column("slice", TEXT, "Slice as a JSON object; {} is everything."),
            _column("aliases", TEXT, "Other names of the same rows, JSON list."),
            _column("version_dimension", TEXT, "Dimension whose new value is compared."),
            _column("old", TEXT, "Value before."),
            _column("new", TEXT, "Value after."),
            _column("opened_time", TIME, "When the evidence sufficed."),
            _column("change_time", TIME, "Estimated time of the change."),
            _column("change_low", TIME, "Lower end of its interval."),
            _column("change_high", TIME, "Upper end of its interval."),
            _column("baseline_n", INT, "Verdicts in the baseline."),
            _column("candidate_n", INT, "Verdicts in the candidate."),
            _column("baseline_score", REAL, "Pass rate of the baseline, 0 to 1."),
            _column("candidate_score", REAL, "Pass rate of the candidate, 0 to 1."),
            _column("effect", REAL, "Candidate minus baseline within strata."),
            _column("effect_low", REAL, "Lower end of its 95 % interval."),
            _column("effect_high", REAL, "Upper end of its 95 % interval."),
            _column("mix_amount", REAL, "Part of the difference that a change of mix explains."),
            _column("mix_low", REAL, "Lower end of its 95 % interval."),
            _column("mix_high", REAL, "Upper end of its 95 % interval."),
            _column("evidence_nats", REAL, "Log of the evidence against no change."),
            _column("exemplars", pa.list_(TEXT), "Trace ids of failing candidate spans."),
            _column("reason", TEXT, "One sentence that says it."),
            _column(
                "state_time",
                TIME,
                "End of the batch that showed this state; null where nothing of it is left.",
            ),
            _column("history_start", TIME, "Where the verdicts begin that were compared."),
            _column("mute_reason", TEXT, "Why a person muted it."),
            _column("mute_until", TIME, "When the mute ends."),
        ],
    ),
)

FINDINGS: Final = Table(
    name="findings",
    description="One row per cause of a regression.",
    key=("regression_id", "rank"),
    time="found_time",
    schema=pa.schema(
        [
            _column("regression_id", TEXT, "Regression.", required=True),
            _column("found_time", TIME, "When.", required=True),
            _column("rank", pa.int32(), "1 is the first cause.", required=True),
            _column("kind", TEXT, "slice, mix, prompt_change or unexplained."),
            _column("slice", TEXT, "Slice as a JSON object."),
            _column("title", TEXT, "The cause in one line."),
            _column("share", REAL, "Share of the drop, 1 is all of it."),
            _column("share_low", REAL, "Lower end of its 95 % interval."),
            _column("share_high", REAL, "Upper end of its 95 % interval."),
            _column("baseline_n", INT, "Verdicts before."),
            _column("candidate_n", INT, "Verdicts after."),
            _column("baseline_score", REAL, "Pass rate before."),
            _column("candidate_score", REAL, "Pass rate after."),
            _column("effect", REAL, "After minus before."),
            _column("effect_low", REAL, "Lower end of its 95 % interval."),
            _column("effect_high", REAL, "Upper end of its 95 % interval."),
            _column("exemplars", pa.list_(TEXT), "Trace ids of failing spans."),
            _column("prompt_diff", TEXT, "Unified diff of the prompts, if the version changed."),
            _column("countermeasure", TEXT, "What to do about it."),
        ],
    ),
)

CASES: Final = Table(
    name="cases",
    description="An input taken from production to try a prompt on.",
    key=("dataset", "case_id"),
    time="created_time",
    schema=pa.schema(
        [
            _column("dataset", TEXT, "Dataset.", required=True),
            _column("case_id", TEXT, "Hash of the input.", required=True),
            _column("created_time", TIME, "When it was taken.", required=True),
            _column("input_messages", TEXT, "Messages without the system prompt, JSON."),
            _column("reference", TEXT, "Wanted answer, if one is known."),
            _column("output", TEXT, "The answer given in production."),
            _column("failed", pa.list_(TEXT), "Checks that failed in production."),
            _column("split", TEXT, "search or holdout."),
            _column("slice", TEXT, "Dimensions as a JSON object."),
            _column("trace_id", TEXT, "Trace it came from."),
            _column("span_id", TEXT, "Span it came from."),
            _column("redaction", TEXT, "Revision of the redaction; empty if none."),
        ],
    ),
)

TRIALS: Final = Table(
    name="trials",
    description="One replayed answer with its verdicts.",
    key=("experiment", "variant", "case_id", "repeat"),
    time="time",
    schema=pa.schema(
        [
            _column("experiment", TEXT, "Experiment.", required=True),
            _column("variant", TEXT, "Hash of the prompt that was tried.", required=True),
            _column("case_id", TEXT, "Case.", required=True),
            _column("repeat", pa.int32(), "From 0.", required=True),
            _column("time", TIME, "When.", required=True),
            _column("split", TEXT, "search or holdout."),
            _column("output", TEXT, "The answer."),
            _column("verdicts", LABELS_MAP, "Check → pass, fail or error."),
            _column("reasons", LABELS_MAP, "Check → why it failed."),
            _column("input_tokens", INT, "Input tokens."),
            _column("output_tokens", INT, "Output tokens."),
            _column("cost_usd", REAL, "Cost, US dollars."),
            _column("duration_ms", REAL, "Time of the call, milliseconds."),
            _column("error", TEXT, "What broke; null if nothing."),
        ],
    ),
)

TABLES: Final = (
    SPANS,
    EVENTS,
    SETTLED,
    SCORES,
    QUARANTINE,
    LEDGER,
    REGRESSIONS,
    FINDINGS,
    CASES,
    TRIALS,
)
