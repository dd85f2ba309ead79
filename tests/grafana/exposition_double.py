"""A double of the sidecar's metrics page: every declared metric, with plausible numbers.

It is no sidecar: it shows only that queries name metrics and labels that are
declared. Counters grow with the time since it was made.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import product

from evalspan.metrics import DECLARED, Declared

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
DIMENSIONS = ("customer",)
LABELS: Mapping[str, tuple[str, ...]] = {
    "check": ("json_valid", "refusal"),
    "customer": ("acme", "globex"),
    "dimension": ("customer",),
    "direction": ("regression",),
    "error_type": ("", "timeout"),
    "evaluator": ("check",),
    "gen_ai_operation_name": ("chat",),
    "gen_ai_provider_name": ("openai",),
    "gen_ai_request_model": ("small",),
    "gen_ai_response_model": ("small-1",),
    "gen_ai_token_type": ("input", "output"),
    "id": ("r1",),
    "item": ("", "polite"),
    "kind": ("version",),
    "model": ("small",),
    "outcome": ("received", "stored", "expected", "done"),
    "prompt": ("extract",),
    "prompt_version": ("1", "2"),
    "reason": ("",),
    "revision": ("0123abcd",),
    "service": ("shop",),
    "service_name": ("shop",),
    "signal": ("traces", "logs"),
    "slice": (r"{\"customer\":\"acme\"}",),
    "verdict": ("pass", "fail"),
    "version": ("0.1.0",),
}


class ExpositionDouble:
    """Call it for the page as it is now."""

    def __init__(self) -> None:
        """Start counting."""
        self._start = time.monotonic()

    def __call__(self) -> str:
        """Return OpenMetrics text."""
        seconds = time.monotonic() - self._start
        lines = [line for metric in DECLARED for line in _metric(metric, seconds)]
        return "\n".join([*lines, "# EOF", ""])


def label_names(metric: Declared) -> list[str]:
    """Labels of a metric, with the configured dimensions by name."""
    return [
        name
        for label in metric.labels
        for name in (DIMENSIONS if label not in LABELS else (label,))
    ]


def _metric(metric: Declared, seconds: float) -> Iterator[str]:
    yield f"# TYPE {metric.name} {metric.kind}"
    yield f"# HELP {metric.name} {metric.help}"
    names = label_names(metric)
    for values in product(*(LABELS[name] for name in names)):
        labels = [f'{name}="{value}"' for name, value in zip(names, values, strict=True)]
        if metric.kind == "histogram":
            yield from _histogram(metric, labels, seconds)
        elif metric.kind == "counter":
            exemplar = f' # {{trace_id="{TRACE_ID}"}} 1.0'
            yield f"{metric.name}_total{{{','.join(labels)}}} {3 + seconds}{exemplar}"
        else:
            suffix = "_info" if metric.kind == "info" else ""
            yield f"{metric.name}{suffix}{{{','.join(labels)}}} 1.0"


def _histogram(metric: Declared, labels: list[str], seconds: float) -> Iterator[str]:
    for place, bound in enumerate((*metric.buckets, float("inf")), start=1):
        shown = "+Inf" if bound == float("inf") else str(float(bound))
        share = place / (len(metric.buckets) + 1)
        chosen = ",".join([*labels, f'le="{shown}"'])
        yield f"{metric.name}_bucket{{{chosen}}} {seconds * share}"
    plain = ",".join(labels)
    yield f"{metric.name}_count{{{plain}}} {seconds}"
    yield f"{metric.name}_sum{{{plain}}} {seconds * 2}"
