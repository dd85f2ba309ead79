"""What real instrumentors sent, decoded and normalized: calls are counted once, logs are joined."""

from types import SimpleNamespace

import polars as pl
import pytest

from evalspan.normalize import messages_from_events
from evalspan.settle import Settler, SettleSettings


def settled(captures: SimpleNamespace, name: str) -> pl.DataFrame:
    rows = captures.rows_of(name)
    settler = Settler(SettleSettings(), {}, messages_from_events)
    settler.push(rows.spans, rows.events, 1, 1)
    return settler.flush(2, 1).spans


@pytest.mark.parametrize(
    ("capture", "reports", "calls"),
    [
        ("otel-genai-span/anthropic_chat", 2, 1),
        ("otel-genai-span/anthropic_error_429", 2, 1),
        ("otel-genai-span/anthropic_tool_loop", 6, 3),
        ("openinference/anthropic_stream_raw", 2, 1),
        ("openinference/anthropic_tool_loop", 6, 3),
        ("openinference/tool_loop", 3, 3),
        ("traceloop/anthropic_chat", 2, 1),
        ("otel-genai-dup/langchain_agent", 3, 3),
        ("anthropic-sdk-native/anthropic_chat", 1, 1),
    ],
)
def test_a_call_counts_once_however_many_report_it(
    captures: SimpleNamespace, capture: str, reports: int, calls: int
) -> None:
    llm = settled(captures, capture).filter(pl.col("role") == "llm")
    assert (llm.height, llm["counts"].sum()) == (reports, calls)


def test_the_instrumentors_span_counts_and_not_the_sdks_own(captures: SimpleNamespace) -> None:
    llm = settled(captures, "otel-genai-span/anthropic_chat").filter(pl.col("role") == "llm")
    counted = llm.filter("counts")
    assert counted["scope_name"].to_list() != ["com.anthropic.sdk.python"]
    assert counted["output_text"].null_count() == 0


@pytest.mark.parametrize(
    "capture", ["otel-openai-v2-legacy-events/chat", "otel-openai-v2-latest-event/chat"]
)
def test_content_that_came_as_log_records_is_there(captures: SimpleNamespace, capture: str) -> None:
    (call,) = settled(captures, capture).filter(pl.col("role") == "llm").to_dicts()
    assert call["input_text"]
    assert call["output_text"]
