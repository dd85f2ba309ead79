"""What a batch costs grows with its spans and not with their square."""

from collections import Counter
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_requests import Record

from evalspan import testing
from evalspan.decode import decode
from evalspan.normalize import _content, normalize


def test_a_column_is_read_once_however_many_spans_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception fills a column that messages do not, and so does each rule of a dialect."""
    read: Counter[str] = Counter()
    plain = _content._list

    def counted(columns: Any, name: str, rows: Any) -> list[Any]:  # noqa: ANN401 - passed on
        read[name] += 1
        return plain(columns, name, rows)

    monkeypatch.setattr(_content, "_list", counted)
    failed = Span.Event(name="exception", time_unix_nano=testing.START_UNIX_NANO)
    failed.attributes.add(key="exception.type").value.string_value = "Timeout"
    spans = [testing.span(number=n, events=[failed]) for n in range(1, 51)]
    payload = testing.request(spans).SerializeToString()
    rows = normalize(decode([Record(payload, "traces")], 1)).spans
    assert rows["error_type"].to_pylist() == ["Timeout"] * 50
    assert read.total() < 12
