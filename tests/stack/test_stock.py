"""A Collector without our processor, with a fragment over the config that it has already."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clients import sample
from processes import ROOT, NotReady, Process, wait_for
from servers import Stack
from story import sidecar_config
from tables import read_ledger

from evalspan.demo import spawn_app

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

FOLDER = ROOT / "collector-config"
EXISTING = FOLDER / "existing.example.yaml"
MORE_EXTENSIONS = "yaml:service::extensions: [health_check, file_storage/evalspan]"
FRAGMENTS: dict[str, tuple[Path | str, ...]] = {
    "memory": (FOLDER / "stock-memory.yaml",),
    "durable": (FOLDER / "stock-durable.yaml", MORE_EXTENSIONS),
}
NAMES = ("EVALSPAN_OTLP_GRPC_ENDPOINT", "EVALSPAN_HEALTH_ENDPOINT", "EVALSPAN_METRICS_PORT")


def arrived(sidecar: Process, spans: int) -> bool:
    count = sample(sidecar.url(), 'evalspan_spans_total{outcome="stored"}')
    if count != spans:
        msg = f"{count:.0f} of {spans} spans are stored"
        raise NotReady(msg)
    return True


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_stock_collector_brings_every_span_to_both(stack: Stack, fragment: str) -> None:
    models, backend = stack.model_server(), stack.span_sink()
    sidecar = stack.sidecar(sidecar_config(models.url))
    collector = stack.collector(
        EXISTING,
        *FRAGMENTS[fragment],
        names=NAMES,
        environment={
            "EVALSPAN_BACKEND_ENDPOINT": urlsplit(backend.endpoint).netloc,
            "EVALSPAN_SIDECAR_ENDPOINT": urlsplit(sidecar.url("otlp")).netloc,
            "EVALSPAN_STORAGE_DIRECTORY": str(stack.folder / "queue"),
        },
    )

    run = spawn_app(collector.url("EVALSPAN_OTLP_GRPC_ENDPOINT"), models.url, "v1", calls=32)

    assert run.spans_sent > run.calls
    assert run.spans_failed == 0
    wait_for(lambda: len(backend.spans) == run.spans_sent, "all spans reach the backend")
    wait_for(lambda: arrived(sidecar, run.spans_sent), "all spans are stored")
    line = read_ledger(sidecar)["received"][0]
    assert line["balanced"]
    assert (line["stored"], line["quarantined"]) == (run.spans_sent, 0)
