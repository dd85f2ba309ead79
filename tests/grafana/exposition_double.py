"""A double of the sidecar's metrics page: every declared metric, with plausible numbers.

Beside them stand the metrics of GPUs, TPUs and model servers, which no machine of a test has.
It is no sidecar: it shows only that queries name metrics and labels that are
declared. Counters grow with the time since it was made, and soon a prompt gets a new version.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import product

from evalspan.metrics import DECLARED, Declared

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
DIMENSIONS = ("customer",)
DEPLOYED_AFTER_PAGES = 3
LABELS: Mapping[str, tuple[str, ...]] = {
    "check": ("json_valid", "refusal", "tokens"),
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
    "metric": ("evalspan_verdicts",),
    "model": ("small",),
    "outcome": ("received", "stored", "expected", "done"),
    "part": ("report",),
    "prompt": ("extract",),
    "prompt_version": ("1", "2"),
    "reason": ("",),
    "revision": ("0123abcd",),
    "service": ("shop",),
    "service_name": ("shop",),
    "signal": ("traces", "logs"),
    "side": ("baseline", "candidate"),
    "state": ("open",),
    "slice": (r"{\"customer\":\"acme\"}",),
    "verdict": ("pass", "fail"),
    "version": ("0.1.0",),
    "word": ("receiver",),
}
# Written by others: dcgm-exporter, vLLM, the TPU device plugin of GKE. Name → labels.
_GPU = {"gpu", "UUID", "device", "modelName", "Hostname"}
_TPU = {"make", "model", "accelerator_id", "tpu_topology"}
ELSEWHERE: Mapping[str, set[str]] = {
    "DCGM_FI_DEV_GPU_UTIL": _GPU,
    "DCGM_FI_DEV_FB_USED": _GPU,
    "DCGM_FI_DEV_FB_FREE": _GPU,
    "duty_cycle": _TPU,
    "memory_used": _TPU,
    "memory_total": _TPU,
    "vllm:num_requests_running": {"model_name"},
    "vllm:num_requests_waiting": {"model_name"},
    "vllm:kv_cache_usage_perc": {"model_name"},
    "vllm:gpu_cache_usage_perc": {"model_name"},
}


class ExpositionDouble:
    """Call it for the page as it is now."""

    def __init__(self) -> None:
        """Start counting."""
        self._start = time.monotonic()
        self._shown = 0

    def __call__(self) -> str:
        """Return OpenMetrics text."""
        seconds = time.monotonic() - self._start
        lines = [line for metric in DECLARED for line in _metric(metric, seconds)]
        self._shown += 1
        if self._shown <= DEPLOYED_AFTER_PAGES:
            lines = [line for line in lines if 'prompt_version="2"' not in line]
        lines += [line for name in ELSEWHERE for line in _elsewhere(name)]
        return "\n".join([*lines, "# EOF", ""])


def label_names(metric: Declared) -> list[str]:
    """Labels of a metric, with the configured dimensions by name."""
    return [
        name
        for label in metric.labels
        for name in (DIMENSIONS if label not in LABELS else (label,))
    ]


def _metric(metric: Declared, seconds: float) -> Iterator[str]:
    yield f"# TYPE {metric.family} {metric.kind}"
    yield f"# HELP {metric.family} {metric.help}"
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
            yield f"{metric.family}{suffix}{{{','.join(labels)}}} 1.0"


def _elsewhere(name: str) -> Iterator[str]:
    values = {"make": "cloud-tpu"}
    labels = ",".join(f'{label}="{values.get(label, "0")}"' for label in sorted(ELSEWHERE[name]))
    yield f"# TYPE {name} gauge"
    yield f"{name}{{{labels}}} 40.0"


def _histogram(metric: Declared, labels: list[str], seconds: float) -> Iterator[str]:
    for place, bound in enumerate((*metric.buckets, float("inf")), start=1):
        shown = "+Inf" if bound == float("inf") else str(float(bound))
        share = place / (len(metric.buckets) + 1)
        chosen = ",".join([*labels, f'le="{shown}"'])
        yield f"{metric.name}_bucket{{{chosen}}} {seconds * share}"
    plain = ",".join(labels)
    yield f"{metric.name}_count{{{plain}}} {seconds}"
    yield f"{metric.name}_sum{{{plain}}} {seconds * 2}"
