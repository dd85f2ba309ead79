"""What a check sees of a span: every attribute by its key, whichever place keeps it."""

from collections.abc import Callable

import polars as pl
import pytest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)

from evalspan.evaluate._views import span_views, trace_view, traces

Frame = Callable[..., pl.DataFrame]
EMPTY = dict.fromkeys(("string", "int", "double", "bool", "bytes", "nested"))


def test_attributes_come_from_columns_and_leftovers(frame: Frame) -> None:
    nested = AnyValue(
        kvlist_value=KeyValueList(
            values=[
                KeyValue(
                    key="list",
                    value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)])),
                ),
                KeyValue(key="none", value=AnyValue()),
            ]
        )
    )
    attributes = [
        {"key": "text", **EMPTY, "string": ""},
        {"key": "flag", **EMPTY, "bool": False},
        {"key": "raw", **EMPTY, "bytes": b"\x01"},
        {"key": "deep", **EMPTY, "nested": nested.SerializeToString()},
        {"key": "nothing", **EMPTY},
    ]
    row = {
        "user_id": "u",
        "promoted": "user_id=enduser.id;request_model=gen_ai.request.model",
        "attributes": attributes,
    }
    (view,) = span_views(frame(row), [])
    assert dict(view.attributes) == {
        "enduser.id": "u",
        "gen_ai.request.model": None,
        "text": "",
        "flag": False,
        "raw": b"\x01",
        "deep": {"list": [1], "none": None},
        "nothing": None,
    }
    assert len(view.attributes) == 7
    assert view.role == "llm"
    assert "role" in dict(view.row)
    assert len(view.row) == len(list(view.row))


def test_a_wrong_column_names_the_nearest(frame: Frame) -> None:
    (view,) = span_views(frame({}), [])
    with pytest.raises(AttributeError, match="did you mean 'output_text'"):
        _ = view.output_txt


def test_traces_are_in_order_of_their_start(frame: Frame) -> None:
    spans = frame({"trace_id": "b" * 32}, {}, {"trace_id": "b" * 32}).reverse()
    views = span_views(spans, [])
    found = [trace_view(rows, views) for rows in traces(spans)]
    assert [t.trace_id[0] for t in found] == ["a", "b"]
    starts = [s.start_time for s in found[1].spans]
    assert starts == sorted(starts)
    assert traces(spans.head(0)) == []
