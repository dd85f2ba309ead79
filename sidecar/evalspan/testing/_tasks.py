"""Answers a question by the task of the scenario that fits it."""

import json
from hashlib import blake2b

from evalspan.testing._breaks import (
    Draft,
    break_fields,
    break_text,
    broken_rules,
    tool_break,
    written,
)
from evalspan.testing._conversation import Asked, Reply, ToolCall
from evalspan.testing._reading import first_match, put, read_field
from evalspan.testing._scenario import Rule, Scenario, Step, Task
from evalspan.testing._shape import fitted

ANYTHING = Task.model_validate({"id": "anything", "when": ""})
REPEATED_CALLS = 3


def answer_task(scenario: Scenario, asked: Asked) -> Reply:
    """The answer to an ordinary question: a tool call, JSON or text."""
    text = asked.user_text
    task = next((task for task in scenario.tasks if task.when.search(text)), ANYTHING)
    broken = broken_rules(scenario, task, asked)
    if asked.forced_tool:
        arguments = fitted(_draft(task, text, broken).answer, asked.schema_of(asked.forced_tool))
        forced = ToolCall(_call_id(asked), asked.forced_tool, dict(_object(arguments)))
        return Reply(calls=(forced,), finish="tool")
    call = _next_call(task, asked, broken)
    if call:
        return Reply(calls=(call,), finish="tool")
    return Reply(text=_answer_text(task, asked, broken))


def _answer_text(task: Task, asked: Asked, broken: list[Rule]) -> str:
    """The text of an answer; what the request has the provider guarantee cannot be broken."""
    if asked.answer_schema is not None:
        draft = _draft(task, asked.user_text, broken)
        return json.dumps(fitted(draft.answer, asked.answer_schema), ensure_ascii=False)
    if task.fields:
        text = written(_draft(task, asked.user_text, broken))
        return text if asked.json_only else break_text(text, broken)
    text = break_text(_filled(task, asked), broken)
    return json.dumps({"answer": text}, ensure_ascii=False) if asked.json_only else text


def _filled(task: Task, asked: Asked) -> str:
    texts = list(asked.texts())
    values = {name: first_match(found, texts) or "unknown" for name, found in task.values.items()}
    return task.text.format_map(values)


def _draft(task: Task, text: str, broken: list[Rule]) -> Draft:
    draft = Draft(dict(task.constants))
    for field in task.fields:
        found = read_field(field, text)
        if found:
            draft.raw[field.path], value = found
            put(draft.answer, field.path, value)
    break_fields(draft, broken)
    return draft


def _next_call(task: Task, asked: Asked, broken: list[Rule]) -> ToolCall | None:
    offered = {tool.name for tool in asked.tools}
    made = [call.name for call in asked.calls]
    for step in task.steps:
        if step.tool not in offered or not step.when.search(asked.user_text):
            continue
        repeated = tool_break(broken, "repeat_tool", step.tool)
        if made.count(step.tool) < (1 + REPEATED_CALLS if repeated else 1):
            return ToolCall(_call_id(asked), step.tool, _arguments(step, asked, broken))
    return None


def _arguments(step: Step, asked: Asked, broken: list[Rule]) -> dict[str, str]:
    wrong = tool_break(broken, "wrong_argument", step.tool)
    if wrong:
        return dict.fromkeys(step.arguments, wrong.text)
    texts = list(asked.texts())
    found = {name: first_match(pattern, texts) for name, pattern in step.arguments.items()}
    return {name: value or "" for name, value in found.items()}


def _call_id(asked: Asked) -> str:
    key = f"{asked.user_text}\x1f{len(asked.calls)}"
    return f"call_{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=9).hexdigest()}"


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
