"""What the columns say of captured spans is what really went over the wire.

The model behind the captures answered by rule. OpenAI's wire, after n tool
results: 400+100n input tokens of which 256 were cached, 90+n output tokens of
which 32 reasoning. Anthropic's: 80+100n input, 256 read from and 64 written to
the cache apart from them, 90+n output.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import polars as pl
import pytest
from otlp_requests import CAPTURES, captured, label, record_of

from evalspan.decode import decode
from evalspan.normalize import messages_from_events, normalize

Row = dict[str, Any]
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
STEPS = {(400, 90), (600, 92), (700, 93)}
TRIAGE = (
    "You triage support tickets. Answer with category, priority (P1-P4) and a one-sentence summary."
)
TRIAGE_HASH = "d25034118ad1"
TICKET = "Ticket #8821: I was charged twice for the annual plan"
ANSWER = "Category: billing. Priority: P2. The customer was charged twice for the annual plan."
QUESTION = "Where is my order A-1042? If it is lost, please refund me."
FINAL = "Order A-1042 was lost in transit, so I refunded 49.90 EUR (refund RF-5501)."


@cache
def rows(case: str) -> tuple[Row, ...]:
    """Return the spans of a capture, in order of their start."""
    record = record_of(CAPTURES / f"{case}.binpb")
    spans = normalize(decode([record], 1)).spans.to_pylist()
    return tuple(sorted(spans, key=_start))


def _start(row: Row) -> tuple[Any, int]:
    return row["start_time"], row["start_nanos"]


def calls(case: str, dialect: str) -> list[Row]:
    return [r for r in rows(case) if r["role"] == "llm" and r["dialect"] == dialect]


def all_rows() -> Iterator[tuple[str, Row]]:
    for path in captured("traces"):
        for row in rows(label(path)):
            yield label(path), row


def cases(name: str, *, without: tuple[str, ...] = ()) -> list[str]:
    found = (label(path) for path in captured("traces"))
    return [case for case in found if case.endswith(f"/{name}") and case not in without]


def dialect_of(case: str) -> str:
    folder = case.split("/", maxsplit=1)[0]
    if folder == "anthropic-sdk-native":
        return "anthropic_sdk"
    names = {"openinference": "openinference", "traceloop": "openllmetry", "otel": "otel"}
    names |= {"openllmetry": "openllmetry"}
    return next(dialect for start, dialect in names.items() if folder.startswith(start))


def test_tokens_are_those_of_the_wire() -> None:
    counted = 0
    for case, row in all_rows():
        if row["input_tokens"] is not None and row["role"] == "llm":
            counted += 1
            anthropic = row["provider"] == "anthropic"
            # OpenLLMetry adds the token that Anthropic's first event of a stream counts.
            steps = {(400, 91)} if case.startswith("traceloop/anthropic_stream") else set()
            assert (row["input_tokens"], row["output_tokens"]) in STEPS | steps, case
            assert row["cache_read_tokens"] in {256, None}, case
            assert row["cache_write_tokens"] == (64 if anthropic else None), case
            assert row["reasoning_tokens"] in {32, None}, case
    assert counted > 200


def test_only_calls_count_tokens() -> None:
    for case, row in all_rows():
        if row["role"] not in {"llm", "embedding"}:
            assert [row[name] for name in TOKENS] == [None] * 4, (case, row["name"])


@pytest.mark.parametrize("case", cases("chat"))
def test_a_chat(case: str) -> None:
    (row,) = calls(case, dialect_of(case))
    assert row["provider"] == "openai"
    assert row["request_model"] == "gpt-4o-mini"
    assert row["response_model"] == "gpt-4o-mini-2024-07-18"
    assert row["finish_reasons"] == ["stop"]
    assert row["response_id"] == "chatcmpl-stub0"
    assert row["temperature"] == 0.2
    assert row["max_tokens"] == 300
    assert row["status"] != "error"
    if row["input_messages"] is not None:
        assert row["system_prompt"] == TRIAGE
        assert row["prompt_hash"] == TRIAGE_HASH
        assert row["input_text"].startswith(TICKET)
        assert row["output_text"] == ANSWER


WITHOUT_CONTENT = ("default", "event", "none", "legacy-events")


@pytest.mark.parametrize("case", [*cases("chat"), *cases("langchain_chat")])
def test_content_is_there_where_it_was_captured(case: str) -> None:
    folder = case.split("/", maxsplit=1)[0]
    (row,) = calls(case, dialect_of(case))
    wanted = not folder.endswith(WITHOUT_CONTENT)
    assert (row["system_prompt"] == TRIAGE) == wanted
    assert (row["output_text"] == ANSWER) == wanted


@pytest.mark.parametrize("case", cases("anthropic_chat"))
def test_an_anthropic_chat(case: str) -> None:
    for dialect in {dialect_of(case), "anthropic_sdk"}:
        found = calls(case, dialect)
        if not found:  # the older SDK has no spans of its own
            assert case.startswith("openllmetry-0.40")
            continue
        (row,) = found
        assert row["provider"] == "anthropic"
        assert row["request_model"] == "claude-sonnet-4-5-20250929"
        assert [row[name] for name in TOKENS] == [400, 90, 256, 64]
        assert row["finish_reasons"] == ["stop"]
        assert row["response_id"] == "msg_stub0"
        if row["input_messages"] is not None:
            assert row["prompt_hash"] == TRIAGE_HASH
            assert row["output_text"] == ANSWER


LOOPS = [
    *cases("tool_loop"),
    # OpenLLMetry has no span of the first call there.
    *cases("responses_tool_loop", without=("traceloop/responses_tool_loop",)),
    *cases("anthropic_tool_loop"),
    *cases("langchain_agent"),
]


@pytest.mark.parametrize("case", LOOPS)
def test_a_tool_loop_is_summed_over_its_three_calls(case: str) -> None:
    found = calls(case, dialect_of(case))
    assert [row["input_tokens"] for row in found] == [400, 600, 700]
    assert [row["output_tokens"] for row in found] == [90, 92, 93]
    if not case.startswith("openllmetry-0.40-traceloop-langchain"):
        reasons = [row["finish_reasons"] for row in found]
        assert reasons == [["tool_calls"], ["tool_calls"], ["stop"]]
    if found[0]["input_messages"] is not None:
        assert [row["input_text"] for row in found] == [QUESTION] * 3
        assert found[2]["output_text"].startswith(FINAL)
        if not case.startswith("otel-openai-v2-latest"):  # it does not send them
            assert '"name"' in found[0]["tool_definitions"]
        assert len({row["prompt_hash"] for row in found}) == 1


@pytest.mark.parametrize("case", [c for c in LOOPS if "langchain" in c])
def test_tools_of_an_agent_are_tools(case: str) -> None:
    tools = [row for row in rows(case) if row["role"] == "tool"]
    names = [row["tool_name"] for row in tools]
    assert sorted(names) == ["create_refund", "get_shipping_status", "lookup_order"]
    assert all("A-1042" in (row["input_text"] or "A-1042") for row in tools[:1])


@pytest.mark.parametrize(
    "case",
    [*cases("error_429"), *cases("error_500"), *cases("anthropic_error_529")],
)
def test_a_failed_call_says_so_and_counts_no_tokens(case: str) -> None:
    for row in calls(case, dialect_of(case)):
        assert row["status"] == "error"
        assert [row[name] for name in TOKENS] == [None] * 4
        assert row["output_text"] is None
        if not case.startswith("openllmetry-0.40"):
            assert row["error_type"]


@pytest.mark.parametrize("case", cases("chat_stream"))
def test_a_stream_has_its_time_to_the_first_token(case: str) -> None:
    (row,) = calls(case, dialect_of(case))
    assert row["finish_reasons"] in (["stop"], None)
    if not case.startswith(("otel-openai-v2-default", "otel-openai-v2-legacy-events")):
        assert row["stream"] or case.startswith("otel-openai-v2-latest")
    if row["time_to_first_token_ms"] is not None:
        # The model waited about 120 ms before the first piece.
        assert 100 < row["time_to_first_token_ms"] < row["duration_ms"]


@pytest.mark.parametrize(
    "folder",
    ["otel-genai-span", "openinference", "traceloop", "openllmetry-0.40-traceloop"],
)
def test_each_dialect_tells_the_time_to_the_first_token(folder: str) -> None:
    streams = [c for c in cases("chat_stream") if c.startswith(f"{folder}/")]
    streams += [c for c in cases("chat_stream_abandoned") if c.startswith(f"{folder}/")]
    times = [calls(case, dialect_of(case))[0]["time_to_first_token_ms"] for case in streams]
    assert times
    assert all(100 < time < 1000 for time in times)


@pytest.mark.parametrize("case", cases("chat_stream_nousage"))
def test_a_stream_without_usage_counts_nothing(case: str) -> None:
    (row,) = calls(case, dialect_of(case))
    assert [row[name] for name in TOKENS] == [None] * 4


def test_zeros_where_usage_was_missed_are_no_counts() -> None:
    (row,) = rows("openllmetry-0.40-traceloop/anthropic_stream")
    assert [row[name] for name in TOKENS] == [None] * 4
    kept = {a["key"]: a["int"] for a in row["attributes"]}
    assert kept["gen_ai.usage.prompt_tokens"] == 0


@pytest.mark.parametrize("case", cases("embeddings"))
def test_embeddings(case: str) -> None:
    (row,) = rows(case)
    assert row["role"] == "embedding"
    assert row["input_tokens"] == 42
    assert row["output_tokens"] is None
    assert row["provider"] == "openai"


@pytest.mark.parametrize("case", cases("rag"))
def test_retrieved_context_is_the_input(case: str) -> None:
    (row,) = calls(case, dialect_of(case))
    if row["input_messages"] is not None:
        assert row["system_prompt"] == "Answer from the context only and cite document ids."
        assert row["input_text"].startswith("Context:\n[doc-1]")
        assert "[doc-2]" in row["output_text"]


def test_the_version_of_a_prompt_and_who_asked() -> None:
    (row,) = rows("openinference/chat_with_context")
    assert row["prompt_version"] == "v3"
    assert row["prompt_hash"] == TRIAGE_HASH
    assert (row["conversation_id"], row["user_id"]) == ("sess-3391", "user-77")
    (row,) = rows("handwritten-from-spec/evaluation_event")
    assert (row["prompt_name"], row["prompt_version"]) == ("triage-prompt", "7")


def test_retrieval() -> None:
    (row,) = rows("handwritten-from-spec/retrieval_structured")
    assert row["role"] == "retrieval"
    assert row["input_text"] == "water damage"
    assert row["output_text"].startswith('[{"id":"doc-1","score":0.61}')
    row = rows("openinference/rag_manual")[1]
    assert row["role"] == "retrieval"
    assert '"id":"doc-2"' in row["output_text"]


def test_content_on_span_events_of_old_conventions() -> None:
    (row,) = rows("handwritten-from-spec/semconv_1_27_span_events")
    assert row["system_prompt"] == TRIAGE
    assert row["input_text"].startswith(TICKET)
    assert row["output_text"] == "Category: billing."
    assert row["input_tokens"] == 400


def test_a_value_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    (row,) = rows("limits/genai_valuelen_long_conversation")
    assert row["repaired"] == "cut:input_messages"
    assert row["system_prompt"] == TRIAGE
    assert row["output_text"] == ANSWER
    kept = {a["key"]: a["string"] for a in row["attributes"]}
    assert len(kept["gen_ai.input.messages"]) == 256


def test_an_answer_that_was_broken_off() -> None:
    (row,) = rows("otel-genai-span/chat_stream_abandoned")
    assert row["finish_reasons"] == ["error"]
    assert row["output_text"] == "Category: billing. Priority: P2. "


def test_several_choices() -> None:
    (row,) = rows("otel-genai-span/chat_n2_image")
    assert row["finish_reasons"] == ["stop", "stop"]
    assert row["output_text"] == ANSWER


def test_thinking_is_not_the_answer() -> None:
    (row,) = calls("otel-genai-span/anthropic_thinking", "otel")
    assert '"reasoning"' in row["output_messages"]
    assert row["output_text"] == ANSWER


@pytest.mark.parametrize("path", captured("logs"), ids=label)
def test_messages_that_came_as_log_records(path: Any) -> None:  # noqa: ANN401 - a path
    case = label(path).removesuffix(".logs")
    events = normalize(decode([record_of(path)], 1)).events
    joined = messages_from_events(pl.DataFrame(pl.from_arrow(events))).to_dicts()
    by_id = {(row["trace_id"], row["span_id"]): row for row in joined}
    spans = [row for row in rows(case) if (row["trace_id"], row["span_id"]) in by_id]
    assert len(spans) == len(by_id)
    if case.split("/")[0] in {"otel-genai-event", "otel-openai-v2-latest-event"}:
        assert spans
    for span in spans:
        found = by_id[span["trace_id"], span["span_id"]]
        if case.endswith("/chat") and not case.startswith("otel-openai-v2-default"):
            assert found["system_prompt"] == TRIAGE
            assert found["prompt_hash"] == TRIAGE_HASH
            assert found["input_text"].startswith(TICKET)
            assert found["output_text"] == ANSWER
            assert found["finish_reasons"] == ["stop"]
        if case.startswith("otel-openai-v2-default"):  # events without content
            assert found["input_text"] is None
            assert found["system_prompt"] is None
        elif case.endswith("/tool_loop"):
            assert found["input_text"] == QUESTION
            assert '"tool_call"' in found["output_messages"] or found["output_text"]
