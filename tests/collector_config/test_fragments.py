"""Every config of collector-config/ is validated, started, and carries a span to both ends."""

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from collector_runs import CONFIGS, Collector, config, validate
from otlp_stub import OtlpClient, OtlpStub
from processes import listens, wait_for

pytestmark = pytest.mark.stack

Run = Callable[..., Collector]

EXISTING = config("existing.example.yaml")
MEMORY = (EXISTING, config("stock-memory.yaml"))
DURABLE_ALONE = (EXISTING, config("stock-durable.yaml"))
# What the user writes by hand: the extensions of both, because lists are replaced.
EXTENSIONS = "--config=yaml:service::extensions: [health_check, file_storage/evalspan]"
DURABLE = (*DURABLE_ALONE, EXTENSIONS)

EVERY_WAY = {
    "processor": (config("collector.yaml"),),
    "processor, durable": (config("collector-durable.yaml"),),
    "existing": (EXISTING,),
    "stock, memory": MEMORY,
    "stock, durable": DURABLE,
}
WITH_SIDECAR = [name for name in EVERY_WAY if name != "existing"]
FULL_QUEUE = "--set=exporters::otlp_grpc/evalspan::sending_queue::queue_size=50000"


def test_every_config_is_started_by_a_test() -> None:
    tested = {argument.rpartition("/")[2] for way in EVERY_WAY.values() for argument in way}
    assert {path.name for path in CONFIGS.glob("*.yaml")} - tested == {"builder.yaml"}


@pytest.mark.parametrize("way", EVERY_WAY)
def test_config_is_valid(way: str, binary: Path) -> None:
    result = validate(binary, *EVERY_WAY[way])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("way", WITH_SIDECAR)
def test_a_span_arrives_at_both_ends(
    way: str, run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    collector = run(*EVERY_WAY[way])
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("chat")
    wait_for(lambda: sidecar.spans["chat"] == 1, "the span is at the sidecar")
    wait_for(lambda: backend.spans["chat"] == 1, "the span is at the backend")
    assert collector.is_ready("health")


def test_only_genai_spans_go_to_the_sidecar_and_are_counted(
    run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    collector = run(config("collector.yaml"))
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("get", "post", genai=False)
        client.send_spans("chat")
    wait_for(lambda: sidecar.spans["chat"] == 1, "the GenAI span is at the sidecar")
    wait_for(lambda: backend.spans.total() == 3, "all spans are at the backend")
    assert sidecar.spans.total() == 1
    assert collector.counter("otelcol_processor_evalspan_received_spans") == 3
    assert collector.counter("otelcol_processor_evalspan_selected_spans") == 1
    assert collector.counter("otelcol_processor_evalspan_not_queued_spans") == 0


def test_only_genai_events_of_the_logs_go_to_the_sidecar(run: Run, sidecar: OtlpStub) -> None:
    collector = run(config("collector.yaml"))
    with OtlpClient(collector.endpoint) as client:
        client.send_log("user logged in")
        client.send_log("an answer", event_name="gen_ai.choice")
    wait_for(lambda: sidecar.logs, "the event is at the sidecar")
    assert sidecar.logs == ["an answer"]


@pytest.mark.parametrize("way", WITH_SIDECAR)
def test_a_sidecar_that_is_down_disturbs_nobody_and_gets_the_span_later(
    way: str, run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    sidecar.down = True
    collector = run(*EVERY_WAY[way])
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("chat")
        wait_for(lambda: backend.spans["chat"] == 1, "the span is at the backend")
        assert collector.is_ready("health")
    sidecar.down = False
    wait_for(lambda: sidecar.spans["chat"] == 1, "the span is at the sidecar")


@pytest.mark.parametrize("way", ["processor", "processor, durable"])
def test_a_span_of_ten_megabytes_arrives_at_both_ends(
    way: str, run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    collector = run(*EVERY_WAY[way])
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("long", padding=10_000_000)
    wait_for(lambda: sidecar.spans["long"] == 1, "the span is at the sidecar")
    wait_for(lambda: backend.spans["long"] == 1, "the span is at the backend")


def send_40_requests(collector: Collector) -> int:
    """Send requests of 10 KB each; returns how many were refused."""
    refused = 0
    with OtlpClient(collector.endpoint) as client:
        for number in range(40):
            try:
                client.send_spans(f"span {number}", padding=10_000)
            except grpc.RpcError as error:
                if "sending queue is full" not in str(error):
                    raise
                refused += 1
    return refused


def test_stock_memory_full_queue_is_no_error_to_the_app(
    run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    sidecar.down = True
    collector = run(*MEMORY, FULL_QUEUE)
    assert send_40_requests(collector) == 0
    wait_for(lambda: len(backend.spans) == 40, "all spans are at the backend")
    failed = "otelcol_exporter_enqueue_failed_spans"
    wait_for(lambda: collector.counter(failed) > 0, "the loss is counted")


def test_stock_durable_full_queue_is_an_error_to_the_app(
    run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    sidecar.down = True
    collector = run(*DURABLE, FULL_QUEUE)
    refused = send_40_requests(collector)
    assert 0 < refused < 40
    wait_for(lambda: len(backend.spans) == 40, "the backend has them, refused ones included")


def test_processor_full_queue_is_no_error_to_the_app_and_counted(
    run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    sidecar.down = True
    small = (
        "--config=yaml:processors::evalspan::sending_queue: "
        "{queue_size: 100000, batch: {min_size: 1000}}"
    )
    collector = run(config("collector-durable.yaml"), small)
    assert send_40_requests(collector) == 0
    wait_for(lambda: len(backend.spans) == 40, "all spans are at the backend")
    lost = collector.counter("otelcol_processor_evalspan_not_queued_spans")
    assert 0 < lost < 40
    sidecar.down = False
    wait_for(lambda: len(sidecar.spans) == 40 - lost, "what was queued arrives")


def test_stock_durable_without_the_list_is_valid_but_does_not_start(binary: Path, run: Run) -> None:
    assert validate(binary, *DURABLE_ALONE).returncode == 0
    with pytest.raises(AssertionError, match="no storage client extension found"):
        run(*DURABLE_ALONE)


def test_a_list_of_extensions_replaces_the_users_own(run: Run, sidecar: OtlpStub) -> None:
    only_ours = "--config=yaml:service::extensions: [file_storage/evalspan]"
    collector = run(*DURABLE_ALONE, only_ours, ready="grpc")
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("chat")
    wait_for(lambda: sidecar.spans["chat"] == 1, "the span is at the sidecar")
    assert not listens(collector.ports["health"])


def test_the_processor_in_two_pipelines_with_one_storage(run: Run, sidecar: OtlpStub) -> None:
    second = (
        "--config=yaml:service::pipelines::traces/second: "
        "{receivers: [otlp], processors: [evalspan], exporters: [otlp_grpc/backend]}"
    )
    collector = run(config("collector-durable.yaml"), second)
    with OtlpClient(collector.endpoint) as client:
        client.send_spans("chat")
    wait_for(lambda: sidecar.spans["chat"] == 2, "the sidecar gets it once for each pipeline")


def test_the_collector_stops_in_time_when_the_sidecar_hangs(
    run: Run, sidecar: OtlpStub, backend: OtlpStub
) -> None:
    """Two seconds for us, and then the exporters of the user still flush."""
    sidecar.released.clear()
    collector = run(config("collector.yaml"))
    with OtlpClient(collector.endpoint) as client:
        client.send_spans(*(f"span {number}" for number in range(100)))
    assert collector.stop() == 0
    assert len(backend.spans) == 100
    assert not sidecar.spans
