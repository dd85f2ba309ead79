"""What came beside a span (log records) or above it (the root) is found when it is read back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from read_world import World

from evalspan import testing, wal

ANSWER = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "{}"}]}])
ASKED = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "page"}]}])


def take_in(world: World, prompt: str, version: str) -> None:
    """Store a root that holds name and version, a call without content, and its log record."""
    start = int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1e9)
    held = {"gen_ai.prompt.name": "extract", "gen_ai.prompt.version": version}
    root = testing.plain_span("work", attributes=held, start_unix_nano=start)
    call = testing.span(system=None, user="", output=None, start_unix_nano=start)
    content = {
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": prompt}]),
        "gen_ai.input.messages": ASKED,
        "gen_ai.output.messages": ANSWER,
    }
    spans = testing.trace(root, call, number=7)
    record = testing.log_record(attributes=content, time_unix_nano=start)
    record.trace_id, record.span_id = spans[1].trace_id, spans[1].span_id
    writer = wal.Writer(world.settings.log_folder, world.settings.wal)
    writer.append("logs", testing.logs_request(record).SerializeToString()).result()
    writer.close()
    world.take_in(*spans)


def test_the_text_of_a_prompt_is_found_by_the_version_of_the_root_in_a_log_record(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    take_in(world, "Answer with JSON only.", "v7")
    side = world.side()
    assert side.prompt("v7", "extract") == "Answer with JSON only."
    assert side.prompt("v7", "support") is None
    assert side.prompt("v8", "extract") is None


def test_content_beside_a_span_fills_only_what_is_empty(tmp_path: Path) -> None:
    from evalspan.pipeline._content import with_content  # noqa: PLC0415 - the unit itself

    world = World(tmp_path)
    take_in(world, "Answer with JSON only.", "v7")
    view = world.side().view
    spans = view.spans().collect()
    filled = with_content(view, spans)
    assert filled.columns == spans.columns
    assert filled.height == spans.height == 2
    call = filled.filter(role="llm").row(0, named=True)
    assert call["output_text"] == "{}"
    assert call["request_model"] == "gpt-4o-mini"
