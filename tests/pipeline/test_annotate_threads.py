"""Annotate is called from several threads at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from evalspan.pipeline import load_settings
from evalspan.pipeline._annotate import Annotator
from evalspan.v1.evalspan_pb2 import AnnotateResponse

CONFIG = """\
data: data
checks:
  own: {use: "own_checks:echo", match: "role = 'llm'", inline: true}
"""
CHECK = """\
from evalspan.plugin import SpanView, Verdict


def echo(span: SpanView) -> Verdict:
    return Verdict(passed=True, reason=span.name)
"""


def test_a_callers_own_check_never_answers_another_caller(tmp_path: Path) -> None:
    (tmp_path / "evalspan.yaml").write_text(CONFIG)
    (tmp_path / "own_checks.py").write_text(CHECK)
    annotate = Annotator(load_settings(tmp_path / "evalspan.yaml"))

    def call(number: int) -> list[str]:
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        for n in range(20):
            ids = bytes([number + 1, n + 1])
            role = KeyValue(key="gen_ai.operation.name", value=AnyValue(string_value="chat"))
            spans.add(trace_id=ids * 8, span_id=ids * 4, name=f"caller {number}").attributes.append(
                role
            )
        found = AnnotateResponse.FromString(annotate(request.SerializeToString()))
        return [verdict.reason for verdict in found.verdicts]

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(call, range(20)))
    assert answers == [[f"caller {number}"] * 20 for number in range(20)]
