"""Test doubles that ship with the product: spans to send, a model to ask, ends to send to.

In: keyword arguments with sensible defaults, or a written scenario. Out: OTLP messages
(`span`, `tool_span`, `plain_span`, `trace`, `request`, `log_record`, `logs_request`), a model
provider that runs on this machine (`ModelServer`, `serve_model_server`), a scripted judge
(`ScriptedAsk`) and an OTLP receiver that keeps what it is sent (`SpanSink`).

Settings: the scenario (`Scenario`, `load_scenario`; `default_scenario.yaml` explains it).
The model server shows that a loop works, not how good a model is.
"""

from evalspan.testing._ask import AskedOnce, ScriptedAsk
from evalspan.testing._model_server import ModelServer, serve_model_server
from evalspan.testing._scenario import (
    DEFAULT_SCENARIO,
    Break,
    Fault,
    Judge,
    Latency,
    Question,
    Rewriter,
    Rule,
    Scenario,
    Task,
    load_scenario,
)
from evalspan.testing._span_sink import SpanSink
from evalspan.testing._spans import (
    START_UNIX_NANO,
    any_value,
    key_values,
    log_record,
    logs_request,
    plain_span,
    request,
    span,
    span_id,
    tool_span,
    trace,
    trace_id,
)

__all__ = [
    "DEFAULT_SCENARIO",
    "START_UNIX_NANO",
    "AskedOnce",
    "Break",
    "Fault",
    "Judge",
    "Latency",
    "ModelServer",
    "Question",
    "Rewriter",
    "Rule",
    "Scenario",
    "ScriptedAsk",
    "SpanSink",
    "Task",
    "any_value",
    "key_values",
    "load_scenario",
    "log_record",
    "logs_request",
    "plain_span",
    "request",
    "serve_model_server",
    "span",
    "span_id",
    "tool_span",
    "trace",
    "trace_id",
]
