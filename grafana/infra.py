"""Panels of the machines: what a stack already measures, or what to install for it."""  # noqa: INP001 - scripts

import queries as ask
from panels import BUSY, Panel, Query, Section, Words, series

HOST = "No metrics of hosts here: install node-exporter and let Prometheus scrape it."
GPU = "No GPU metrics here: install NVIDIA's dcgm-exporter and let Prometheus scrape it."
TPU = "No TPU metrics here: let Prometheus scrape the TPU device plugin of GKE."
VLLM = "No vLLM here: let Prometheus scrape /metrics of its API server."


def machines() -> Section:
    """Return the panels of host, GPU, TPU and model server."""
    return "Machines: is it the hardware?", [*hosts(), *accelerators(), *model_server()]


def hosts(width: int = 6) -> list[Panel]:
    """Return processor and memory."""
    cpu = "Share of all cores in use, per host (node-exporter)."
    memory = "Share of memory that is not available to programs, per host (node-exporter)."
    return [
        _share("CPU busy", cpu, HOST, ask.CPU_BUSY, "{{instance}}", width),
        _share("Memory used", memory, HOST, ask.MEMORY_USED, "{{instance}}", width),
    ]


def accelerators(width: int = 6) -> list[Panel]:
    """Return use and memory of GPUs and TPUs."""
    gpu, tpu = "{{Hostname}} {{gpu}}", "{{instance}} {{accelerator_id}}"
    return [
        _share(
            "GPU busy",
            "Share of time in which a kernel ran, per GPU (DCGM).",
            GPU,
            ask.GPU_BUSY,
            gpu,
            width,
        ),
        _share(
            "GPU memory used",
            "Share of the frame buffer in use, per GPU (DCGM).",
            GPU,
            ask.GPU_MEMORY,
            gpu,
            width,
        ),
        _share(
            "TPU busy",
            "Share of time in which the TPU was processing, per chip (GKE's device plugin).",
            TPU,
            ask.TPU_BUSY,
            tpu,
            width,
        ),
        _share(
            "TPU memory used",
            "Share of high-bandwidth memory in use, per chip (GKE's device plugin).",
            TPU,
            ask.TPU_MEMORY,
            tpu,
            width,
        ),
    ]


def model_server(width: int = 6) -> list[Panel]:
    """Return the queue and the cache of vLLM."""
    queue = Words(
        "Model server: requests",
        "Requests that vLLM works on, and those that wait for it: a growing queue is slow answers.",
        "short",
        VLLM,
    )
    return [
        series(
            queue,
            Query(ask.VLLM_RUNNING, "running {{model_name}}"),
            Query(ask.VLLM_WAITING, "waiting {{model_name}}"),
            width=width,
        ),
        _share(
            "Model server: cache used",
            "Share of vLLM's key-value cache in use; near 1 requests are put off.",
            VLLM,
            ask.VLLM_CACHE,
            "{{model_name}}",
            width,
        ),
    ]


def _share(
    title: str, description: str, missing: str, expression: str, legend: str, width: int
) -> Panel:
    words = Words(title, description, "percentunit", missing, BUSY)
    return series(words, Query(expression, legend), width=width, share=True)
