"""OpenTelemetry's GenAI conventions: today's keys and those of older releases.

Its keys hold on spans of every other dialect too, after that dialect's own.
"""

from evalspan.normalize._dialect import SECONDS_TO_FIRST_TOKEN, Dialect, To, on_calls, words

DIALECT = Dialect(
    name="otel",
    rank=150,
    keys=(
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.operation.name",
        "gen_ai.evaluation.name",
        # On a span of the app above the calls, which take them from there.
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "gen_ai.conversation.id",
    ),
    columns={
        "gen_ai.provider.name": "provider",
        "gen_ai.system": "provider",
        "gen_ai.operation.name": "operation",
        "gen_ai.request.model": "request_model",
        "gen_ai.response.model": "response_model",
        "gen_ai.request.temperature": "temperature",
        "gen_ai.request.max_tokens": "max_tokens",
        "gen_ai.request.stream": "stream",
        **on_calls(
            input_tokens=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
            output_tokens=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
            cache_read_tokens=("gen_ai.usage.cache_read.input_tokens",),
            cache_write_tokens=(
                "gen_ai.usage.cache_write.input_tokens",
                "gen_ai.usage.cache_creation.input_tokens",
            ),
            reasoning_tokens=("gen_ai.usage.reasoning.output_tokens",),
        ),
        "gen_ai.response.time_to_first_chunk": SECONDS_TO_FIRST_TOKEN,
        "gen_ai.response.finish_reasons": "finish_reasons",
        "gen_ai.response.id": "response_id",
        "gen_ai.system_instructions": "system_prompt",
        "gen_ai.input.messages": "input_messages",
        "gen_ai.output.messages": "output_messages",
        "gen_ai.tool.definitions": "tool_definitions",
        "gen_ai.tool.name": To("tool_name", ("tool",)),
        "gen_ai.tool.call.id": To("tool_call_id", ("tool",)),
        "gen_ai.tool.call.arguments": To("input_text", ("tool",)),
        "gen_ai.tool.call.result": To("output_text", ("tool",)),
        "gen_ai.retrieval.query.text": To("input_text", ("retrieval",)),
        "gen_ai.retrieval.documents": To("output_text", ("retrieval",)),
        "gen_ai.prompt.name": "prompt_name",
        "gen_ai.prompt.version": "prompt_version",
        "gen_ai.conversation.id": "conversation_id",
        "session.id": "conversation_id",
        "user.id": "user_id",
        "enduser.id": "user_id",
        "gen_ai.agent.name": "agent_name",
        "gen_ai.workflow.name": "workflow_name",
        "error.type": "error_type",
    },
    roles={
        "gen_ai.operation.name": words(
            llm="chat generate_content text_completion completion",
            embedding="embeddings embedding",
            retrieval="retrieval vector_db_retrieve rerank",
            tool="execute_tool",
            agent="invoke_agent create_agent",
            workflow="invoke_workflow execute_task plan",
        ),
    },
    # For spans of releases that had no operation yet.
    implied={
        "gen_ai.evaluation.name": "evaluation",
        "gen_ai.usage.input_tokens": "llm",
        "gen_ai.usage.prompt_tokens": "llm",
        "gen_ai.request.model": "llm",
        "gen_ai.tool.name": "tool",
        "gen_ai.agent.name": "agent",
    },
)
