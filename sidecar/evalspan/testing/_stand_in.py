"""The stand-in model: one request in, one reply or fault out, decided by the scenario alone."""

from dataclasses import replace

from evalspan.testing import _judge, _rewriter
from evalspan.testing._chance import chance
from evalspan.testing._conversation import Asked, Reply, ToolCall, finished
from evalspan.testing._scenario import Fault, Scenario
from evalspan.testing._tasks import answer_task

SPECIAL_TOOLS = {
    _rewriter.TOOL: ("rewrite", _rewriter.propose_prompts),
    _judge.TOOL: ("judge", _judge.record_answers),
}


def answer(scenario: Scenario, asked: Asked, answer_id: str) -> Reply:
    """The reply to a request: as rewriter, as judge, or to one of the scenario's tasks."""
    _, special = SPECIAL_TOOLS.get(asked.forced_tool or "", (None, None))
    if special is None or asked.forced_tool is None:
        return finished(asked, answer_task(scenario, asked))
    call = ToolCall(f"call_{answer_id}", asked.forced_tool, special(scenario, asked))
    return replace(finished(asked, Reply(calls=(call,))), finish="tool")


def role(asked: Asked) -> str:
    """What the request makes of the model: `rewrite`, `judge` or `answer`; for the counters."""
    return SPECIAL_TOOLS.get(asked.forced_tool or "", ("answer", None))[0]


def fault(scenario: Scenario, asked: Asked, attempt: int) -> Fault | None:
    """The HTTP error that the scenario gives this attempt (0 is the first), if any."""
    text = asked.user_text
    for index, planned in enumerate(scenario.faults):
        concerned = planned.when is None or planned.when.search(text)
        drawn = chance(scenario.seed, "fault", str(index), text) < planned.rate
        if concerned and drawn and attempt < planned.attempts:
            return planned
    return None


def latency_seconds(scenario: Scenario, asked: Asked) -> tuple[float, float]:
    """Seconds until the first token and from there to the end, drawn around what is stated."""
    factor = 0.5 + chance(scenario.seed, "latency", asked.user_text)
    first = scenario.latency.first_token_seconds * factor
    return first, max(scenario.latency.total_seconds * factor - first, 0.0)
