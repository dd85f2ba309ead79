"""Part two of the demo app: a support agent with three tools, with the anthropic SDK."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam, ToolUseBlock
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from evalspan.demo._tags import tags

MODEL = "claude-haiku-4-5"
MAX_CALLS = 8
STATUSES = ("shipped", "delivered", "being packed")


class UnknownOrderError(Exception):
    """The order number is not one of ours."""


def lookup_order(order_id: str) -> dict[str, str]:
    """The state of an order, such as A-1042."""
    shop, _, number = order_id.partition("-")
    if not number.isdigit():
        message = f"no order {order_id!r}; an order number is a letter, a dash and four digits"
        raise UnknownOrderError(message)
    return {"order": f"{shop}-{number}", "status": STATUSES[int(number) % len(STATUSES)]}


def search_refund_policy(query: str) -> dict[str, str]:
    """What the refund policy says."""
    return {"query": query, "policy": "refunds within 30 days of delivery"}


def create_ticket(order_id: str, summary: str) -> dict[str, str]:
    """Hand the case to a person."""
    return {"ticket": f"T-{order_id}", "summary": summary}


TOOLS: Mapping[str, Callable[..., dict[str, str]]] = {
    "lookup_order": lookup_order,
    "search_refund_policy": search_refund_policy,
    "create_ticket": create_ticket,
}


def answer(client: Anthropic, prompt: str, customer: str, question: str, index: int) -> str:
    """Run the agent on one question until it answers without a tool."""
    attributes = {
        "app.customer": customer,
        "gen_ai.prompt.name": "support",
        "gen_ai.prompt.version": "v1",
        "gen_ai.conversation.id": f"{customer}-{index}",
    }
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
    tracer = trace.get_tracer("shop-assistant")
    with tags(attributes), tracer.start_as_current_span("invoke_agent support", attributes=agent):
        return _loop(client, prompt, question)


def _loop(client: Anthropic, prompt: str, question: str) -> str:
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    for _ in range(MAX_CALLS):
        reply = client.messages.create(
            model=MODEL, max_tokens=500, system=prompt, messages=messages, tools=_offered()
        )
        wanted = [block for block in reply.content if isinstance(block, ToolUseBlock)]
        if not wanted:
            return "".join(block.text for block in reply.content if block.type == "text")
        messages.append({"role": "assistant", "content": list(reply.content)})
        messages.append({"role": "user", "content": [_run_tool(block) for block in wanted]})
    return ""


def _run_tool(wanted: ToolUseBlock) -> ToolResultBlockParam:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": wanted.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": wanted.id,
        "gen_ai.tool.call.arguments": json.dumps(wanted.input),
    }
    tracer = trace.get_tracer("shop-assistant")
    with tracer.start_as_current_span(f"execute_tool {wanted.name}", attributes=attributes) as span:
        arguments: dict[str, Any] = dict(wanted.input)
        try:
            result, failed = json.dumps(TOOLS[wanted.name](**arguments)), False
        except UnknownOrderError as error:  # the model is told, and may try again
            result, failed = str(error), True
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR, result)
        span.set_attribute("gen_ai.tool.call.result", result)
    return {
        "type": "tool_result",
        "tool_use_id": wanted.id,
        "content": result,
        "is_error": failed,
    }


def _offered() -> list[ToolParam]:
    text = {"type": "string"}
    parameters = {
        "lookup_order": {"order_id": text},
        "search_refund_policy": {"query": text},
        "create_ticket": {"order_id": text, "summary": text},
    }
    return [
        {
            "name": name,
            "description": TOOLS[name].__doc__ or name,
            "input_schema": {"type": "object", "properties": given, "required": list(given)},
        }
        for name, given in parameters.items()
    ]
