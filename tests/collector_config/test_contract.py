"""The generated Python of the gRPC contract, and that its request is OTLP's on the wire."""

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evalspan.v1 import evalspan_pb2


def otlp(*names: str) -> bytes:
    data = TracesData()
    scope = data.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(name=name)
    return data.SerializeToString()


def test_the_bytes_of_two_otlp_requests_are_one_annotate_request() -> None:
    request = evalspan_pb2.AnnotateRequest.FromString(otlp("a", "b") + otlp("c"))
    spans = [one.scope_spans[0].spans for one in request.resource_spans]
    assert [[span.name for span in some] for some in spans] == [["a", "b"], ["c"]]
    assert request.SerializeToString() == otlp("a", "b") + otlp("c")


def test_a_value_that_was_not_measured_is_absent_not_zero() -> None:
    verdict = evalspan_pb2.SpanVerdict(check="latency", outcome=evalspan_pb2.OUTCOME_PASS)
    assert not verdict.HasField("value")
    verdict.value = 0.0
    assert evalspan_pb2.SpanVerdict.FromString(verdict.SerializeToString()).HasField("value")


def test_the_service_has_one_method() -> None:
    service = evalspan_pb2.DESCRIPTOR.services_by_name["EvaluationService"]
    assert service.full_name == "evalspan.v1.EvaluationService"
    assert [method.name for method in service.methods] == ["Annotate"]
