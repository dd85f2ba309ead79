"""PromQL and LogQL of the dashboards: what is asked, without how it is drawn.

`$service`, `$check`, `$prompt`, `$version`, `$model`, `$customer`, `$view`, `$id`, `$target` and
`$window` are variables of the dashboards; `$__rate_interval` and `$__range` are Grafana's own.
"""  # noqa: INP001 - a folder of scripts, no package

from evalspan.grafana import counted_within, first_seen

# A variable's "All" is `.*`, which also takes series that lack the label.
PROMPTS = 'service=~"$service",prompt=~"$prompt",prompt_version=~"$version",model=~"$model"'
SPANS = f'check=~"$check",{PROMPTS},customer=~"$customer"'
# The verdict of a check on a span has no item; the items are a checklist's questions.
VERDICTS = f'item="",{SPANS}'
QUESTIONS = f'item!="",{SPANS}'
CALLS = 'service_name=~"$service",gen_ai_response_model=~"$model|"'
REGRESSIONS = 'check=~"$check",direction="regression"'
CHECKS = 'check=~"$check"'
# On the page of one regression the check is known, and all of its traffic is of interest.
OF_CHECK = 'item="",check=~"$check"'
THIS = 'id="$id"'

DURATION = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
TOKENS = "gen_ai_client_token_usage_sum"
MODEL = "gen_ai_request_model"


def increase(metric: str, labels: str, by: str, window: str = "$window") -> str:
    """Count over the window, per `by`, with the first counts of new series."""
    return counted_within(f"{metric}{{{labels}}}", window, by)


def rate(metric: str, labels: str, by: str) -> str:
    """Per second, over the interval that Grafana finds right for the zoom, per `by`."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def verdicts(by: str, verdict: str = "pass|fail", labels: str = VERDICTS) -> str:
    """Number of verdicts over the window, per `by`."""
    return increase("evalspan_verdicts_total", f'verdict=~"{verdict}",{labels}', by)


def pass_rate(by: str, labels: str = VERDICTS) -> str:
    """Passed over passed and failed, per `by`; a group that only fails is 0, not absent."""
    decided = verdicts(by, labels=labels)
    return f"({verdicts(by, 'pass', labels)} or 0 * {decided}) / ({decided} > 0)"


def mean(metric: str, labels: str, by: str) -> str:
    """Mean of what a histogram has observed over the window, per `by`."""
    summed = increase(f"{metric}_sum", labels, by)
    return f"{summed} / ({increase(f'{metric}_count', labels, by)} > 0)"


def quantile(share: float, metric: str, labels: str, by: str, window: str = "$window") -> str:
    """Estimate from a histogram's buckets, per `by`; absent where nothing was observed."""
    buckets = f"sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[{window}]))"
    counted = f"sum by ({by}) (rate({metric}_count{{{labels}}}[{window}]))"
    return f"histogram_quantile({share}, {buckets}) and {counted} > 0"


def errors() -> str:
    """Share of model calls that failed; 0 where none did."""
    every = rate(f"{DURATION}_count", CALLS, "service_name")
    failed = rate(f"{DURATION}_count", f'error_type!="",{CALLS}', "service_name")
    return f"({failed} or 0 * {every}) / ({every} > 0)"


def records(event: str, fields: dict[str, str], *filters: str) -> str:
    """Report records of one event, with fields (name → path in the JSON body) as labels."""
    paths = ", ".join(f'{name}="{path}"' for name, path in fields.items())
    kept = "".join(f" | {each}" for each in filters)
    return f'{{service_name="evalspan"}} | event_name=~"{event}" | json {paths}{kept}'


_SCORED = f"evalspan_verdicts_total{{{PROMPTS}}}"
# A version that was not there five minutes ago has been deployed, unless it is Prometheus that
# was not there.
DEPLOYED = (
    f"count by (prompt, prompt_version) ({first_seen(_SCORED, '5m')})"
    f" unless count by (prompt, prompt_version) (last_over_time({_SCORED}[1d] offset 5m))"
)
CPU_BUSY = '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))'
MEMORY_USED = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
GPU_BUSY = "DCGM_FI_DEV_GPU_UTIL / 100"
GPU_MEMORY = "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
TPU_BUSY = 'duty_cycle{make="cloud-tpu"} / 100'
TPU_MEMORY = 'memory_used{make="cloud-tpu"} / memory_total{make="cloud-tpu"}'
VLLM_WAITING = "sum by (model_name) (vllm:num_requests_waiting)"
VLLM_RUNNING = "sum by (model_name) (vllm:num_requests_running)"
VLLM_CACHE = "max by (model_name) (vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc)"
