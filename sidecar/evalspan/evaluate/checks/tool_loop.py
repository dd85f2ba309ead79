"""Whether an agent runs in circles."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from evalspan.plugin import TraceView, Verdict

MATCH = "role = 'tool'"


def tool_loop(trace: TraceView, *, times: Annotated[int, Field(ge=2)] = 3) -> Verdict:
    """Fail if one tool was called with the same arguments `times` times or more in a trace.

    Value: the largest number of equal calls. Calls whose arguments are not known are
    not compared. No verdict for a trace without such calls.

    Example: `{use: tool_loop, times: 4}`
    """
    tools = (span for span in trace.spans if span.role == "tool")
    calls = Counter(
        (span.tool_name or span.name, span.input_text)
        for span in tools
        if span.input_text is not None
    )
    if not calls:
        return Verdict(reason="no tool call with known arguments")
    (tool, arguments), most = calls.most_common(1)[0]
    if most < times:
        return Verdict(passed=True, value=most)
    reason = f"{tool} was called {most} times with the same arguments"
    return Verdict(passed=False, value=most, reason=reason, evidence=arguments)
