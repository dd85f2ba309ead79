"""The demo app as it is: its own process, real SDKs and instrumentors, spans on the wire."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import jsonschema_rs
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from evalspan.demo import CALLS, SCHEMA, RunSummary, prompt_text, spawn_app
from evalspan.demo._pages import CUSTOMERS
from evalspan.testing import ModelServer, SpanSink

OPENAI = "opentelemetry.instrumentation.genai.openai"
ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic"
NATIVE = "com.anthropic.sdk.python"
OPENINFERENCE = "openinference.instrumentation.openai"
APP = "shop-assistant"


@dataclass(frozen=True)
class Seen:
    scope: str
    span: Span
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def customer(self) -> str:
        return str(self.attributes["app.customer"])

    def answer(self) -> str:
        messages = json.loads(str(self.attributes["gen_ai.output.messages"]))
        return str(messages[0]["parts"][0]["content"])


@dataclass(frozen=True)
class Run:
    summary: RunSummary
    progress: list[tuple[int, int]]
    seen: list[Seen]
    services: set[str]

    def of(self, scope: str, name: str = "") -> list[Seen]:
        return [one for one in self.seen if one.scope == scope and one.span.name.startswith(name)]


def plain(span: Span) -> dict[str, object]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


def run(version: str) -> Run:
    progress: list[tuple[int, int]] = []
    with ModelServer() as server, SpanSink() as sink:
        summary = spawn_app(
            sink.endpoint,
            server.url,
            version,
            progress=lambda done, total: progress.append((done, total)),
        )
    seen = [Seen(scope, span, plain(span)) for scope, span in sink.spans]
    resources = [one.resource for request in sink.requests for one in request.resource_spans]
    services = {
        pair.value.string_value
        for resource in resources
        for pair in resource.attributes
        if pair.key in {"service.name", "service.version"}
    }
    return Run(summary, progress, seen, services)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {version: run(version) for version in ("v1", "v2")}


def test_every_call_is_made_and_every_span_arrives(runs: dict[str, Run]) -> None:
    for version, one in runs.items():
        assert one.summary.calls == CALLS == len(one.of(OPENAI))
        assert one.summary.spans_failed == 0
        assert one.summary.spans_sent == len(one.seen) > 1700
        assert one.services == {"shop-assistant", version}
        total = CALLS + one.summary.support_runs + one.summary.reviews
        assert one.progress == [(done, total) for done in range(1, total + 1)]


def test_every_span_carries_customer_prompt_and_version(runs: dict[str, Run]) -> None:
    for version, one in runs.items():
        for seen in one.seen:
            assert seen.customer in CUSTOMERS
            name = seen.attributes["gen_ai.prompt.name"]
            stated = seen.attributes["gen_ai.prompt.version"]
            assert stated == (version if name == "extract" else "v1")


def test_content_is_on_the_spans(runs: dict[str, Run]) -> None:
    for seen in runs["v1"].of(OPENAI):
        system, user = json.loads(str(seen.attributes["gen_ai.input.messages"]))
        assert system["parts"][0]["content"] == prompt_text("extract", "v1")
        assert user["parts"][0]["content"].startswith(f"https://{seen.customer}.example")
        assert seen.answer()
        assert seen.attributes["gen_ai.usage.input_tokens"]


def test_a_quarter_of_the_pages_is_streamed_with_a_time_to_the_first_token(
    runs: dict[str, Run],
) -> None:
    streamed = [s for s in runs["v1"].of(OPENAI) if s.attributes.get("gen_ai.request.stream")]
    assert len(streamed) == CALLS // 4
    for seen in streamed:
        assert float(str(seen.attributes["gen_ai.response.time_to_first_chunk"])) > 0


def test_each_anthropic_call_is_reported_twice_with_one_response_id(runs: dict[str, Run]) -> None:
    for one in runs.values():
        outer, native = one.of(ANTHROPIC), one.of(NATIVE)
        ids = [seen.attributes["gen_ai.response.id"] for seen in outer]
        assert len(outer) > 2 * one.summary.support_runs
        assert len(set(ids)) == len(ids)
        assert sorted(map(str, ids)) == sorted(
            str(seen.attributes["gen_ai.response.id"]) for seen in native
        )
        spans = {seen.span.span_id for seen in outer}
        assert all(seen.span.parent_span_id in spans for seen in native)


def test_answers_of_two_runs_never_share_an_id(runs: dict[str, Run]) -> None:
    first, second = (
        {seen.attributes["gen_ai.response.id"] for seen in one.of(OPENAI)} for one in runs.values()
    )
    assert len(first) == len(second) == CALLS
    assert not first & second


def test_the_agent_calls_its_three_tools(runs: dict[str, Run]) -> None:
    for one in runs.values():
        tools = Counter(seen.attributes["gen_ai.tool.name"] for seen in one.of(APP, "execute_tool"))
        agents = one.of(APP, "invoke_agent")
        assert set(tools) == {"lookup_order", "search_refund_policy", "create_ticket"}
        assert len(agents) == one.summary.support_runs == 40
        agent_spans = {agent.span.span_id for agent in agents}
        assert {seen.span.parent_span_id for seen in one.of(ANTHROPIC)} <= agent_spans


def test_reviews_come_in_another_dialect_and_only_once(runs: dict[str, Run]) -> None:
    one = runs["v1"]
    reviews = one.of(OPENINFERENCE)
    assert len(reviews) == one.summary.reviews == 32
    assert {seen.attributes["openinference.span.kind"] for seen in reviews} == {"LLM"}
    traces = {seen.span.trace_id for seen in reviews}
    assert not [seen for seen in one.of(OPENAI) if seen.span.trace_id in traces]


def pass_rates(one: Run) -> dict[str, float]:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text("utf-8")))
    passed: dict[str, list[bool]] = defaultdict(list)
    for seen in one.of(OPENAI):
        passed[seen.customer].append(is_valid(validator, seen.answer()))
    assert {len(verdicts) for verdicts in passed.values()} == {CALLS // len(CUSTOMERS)}
    return {customer: sum(verdicts) / len(verdicts) for customer, verdicts in passed.items()}


def is_valid(validator: jsonschema_rs.Validator, text: str) -> bool:
    try:
        return bool(validator.is_valid(json.loads(text)))
    except ValueError:
        return False


def test_the_second_version_breaks_one_customer_and_hides_in_the_average(
    runs: dict[str, Run],
) -> None:
    first, second = pass_rates(runs["v1"]), pass_rates(runs["v2"])
    assert first["globex"] == pytest.approx(0.975)
    assert second["globex"] == pytest.approx(0.60)
    for customer in set(CUSTOMERS) - {"globex"}:
        assert first[customer] >= 0.95
        assert abs(first[customer] - second[customer]) <= 0.03
    drop = (sum(first.values()) - sum(second.values())) / len(CUSTOMERS)
    assert 0.03 < drop < 0.05


def test_an_app_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="demo app ended with 2"):
        spawn_app("http://127.0.0.1:1", "http://127.0.0.1:1", "v9")
