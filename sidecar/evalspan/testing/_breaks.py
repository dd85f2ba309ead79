"""Which rules an answer breaks, and what each break does to it."""

import json
from dataclasses import dataclass, field

from evalspan.testing._chance import chance
from evalspan.testing._conversation import Asked, Json
from evalspan.testing._reading import drop, put
from evalspan.testing._scenario import Break, Rule, Scenario, Task


@dataclass(slots=True)
class Draft:
    """A JSON answer before it is written: the values, and each field as the page has it."""

    answer: Json
    raw: dict[str, str] = field(default_factory=dict)


def broken_rules(scenario: Scenario, task: Task, asked: Asked) -> list[Rule]:
    """The rules that this answer breaks: one draw a rule, from seed, rule and input alone."""
    text = asked.user_text
    return [
        rule
        for rule in scenario.rules
        if rule.task in {None, task.id}
        and (rule.applies_to is None or rule.applies_to.search(text))
        and chance(scenario.seed, rule.id, text)
        < (rule.broken_when_standing if rule.stands_in(asked.prompt) else rule.broken_when_missing)
    ]


def break_fields(draft: Draft, broken: list[Rule]) -> None:
    """Apply the breaks that concern the fields of a JSON answer."""
    for rule in broken:
        _break_field(draft, rule.breaks)


def _break_field(draft: Draft, breaks: Break) -> None:
    match breaks.kind:
        case "raw_value" if breaks.field in draft.raw:
            put(draft.answer, breaks.field, draft.raw[breaks.field])
        case "replace_value":
            put(draft.answer, breaks.field, breaks.text)
        case "drop_field":
            drop(draft.answer, breaks.field)
        case _:
            pass


def break_text(text: str, broken: list[Rule]) -> str:
    """Apply the breaks that concern the text of an answer."""
    for breaks in (rule.breaks for rule in broken):
        match breaks.kind:
            case "prose":
                text = breaks.text.replace("{answer}", text)
            case "refusal":
                return breaks.text
            case "cut":
                text = text[: len(text) // 2]
            case "drop_text":
                text = text.replace(breaks.text, "")
            case _:
                pass
    return text


def tool_break(broken: list[Rule], kind: str, tool: str) -> Break | None:
    """The break of this kind that concerns a tool, if the answer has it."""
    found = (rule.breaks for rule in broken if rule.breaks.kind == kind)
    return next((breaks for breaks in found if breaks.field == tool), None)


def written(draft: Draft) -> str:
    """The JSON text of an answer."""
    return json.dumps(draft.answer, ensure_ascii=False)
