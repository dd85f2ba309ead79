"""OpenInference (Arize): `llm.*` keys, messages spread over indexed keys."""

from typing import Final

from evalspan.normalize import _openinference
from evalspan.normalize._dialect import CALLS, Dialect, To, on_calls, words

_WITH_TEXT: Final = ("agent", "workflow", "tool", "retrieval", "evaluation")

DIALECT = Dialect(
    name="openinference",
    rank=50,
    keys=("openinference.span.kind",),
    prefixes=("llm.input_messages.", "llm.output_messages.", "llm.token_count."),
    columns={
        "llm.provider": "provider",
        "llm.system": "provider",
        "openinference.span.kind": "operation",
        "llm.request.model_name": "request_model",
        "llm.response.model_name": "response_model",
        "llm.model_name": "response_model",
        "embedding.model_name": "response_model",
        **on_calls(
            input_tokens=("llm.token_count.prompt",),
            output_tokens=("llm.token_count.completion",),
            cache_read_tokens=("llm.token_count.prompt_details.cache_read",),
            cache_write_tokens=("llm.token_count.prompt_details.cache_write",),
            reasoning_tokens=("llm.token_count.completion_details.reasoning",),
            reported_cost_usd=("llm.cost.total",),
        ),
        "llm.finish_reason": "finish_reasons",
        "tool.name": To("tool_name", ("tool",)),
        "tool.parameters": To("input_text", ("tool",)),
        "input.value": To("input_text", _WITH_TEXT),
        "output.value": To("output_text", _WITH_TEXT),
        "prompt.id": "prompt_name",
        "llm.prompt_template.version": "prompt_version",
        "agent.name": "agent_name",
    },
    roles={
        "openinference.span.kind": words(
            llm="LLM",
            embedding="EMBEDDING",
            agent="AGENT",
            workflow="CHAIN",
            tool="TOOL",
            retrieval="RETRIEVER RERANKER",
            evaluation="GUARDRAIL EVALUATOR",
        ),
    },
    implied={"llm.token_count.prompt": "llm", "llm.model_name": "llm"},
    derive=_openinference.derive,
    derive_prefixes=(
        "llm.input_messages.",
        "llm.output_messages.",
        "llm.tools.",
        "llm.invocation_parameters",
        "llm.finish_reason",
        "output.value",
        "embedding.embeddings.",
        "retrieval.documents.",
    ),
    derive_roles=(*CALLS, "retrieval"),
    first_token_events=("First Token Stream Event",),
)
