"""How the processes of a sidecar end, begin again, and wait for a disk."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from process_world import (
    CONFIG,
    Load,
    export_to,
    fill,
    numbers_of,
    payload,
    settings_of,
    small_disk,
    stored,
    wait_until_stored,
)
from processes import Process, answers, free_ports, wait_for
from servers import Stack
from torture import PARTS, part_of

from evalspan.pipeline import AlreadyRunsError, alone, read_ledger

FATAL = 2
OK = grpc.StatusCode.OK


def parts_of(sidecar: Process) -> dict[str, int]:
    """Wait until every part runs; return their process ids."""

    def look() -> dict[str, int] | None:
        found = {name: part_of(sidecar, name) for name in PARTS}
        known = {name: pid for name, pid in found.items() if pid is not None}
        return known if len(known) == len(PARTS) else None

    return wait_for(look, "every part runs")


def runs(pid: int) -> bool:
    """Say whether a process runs; one that ended and was not waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(sidecar: Process, number: signal.Signals) -> int:
    """Send a signal to the parent only and return its exit code."""
    os.kill(sidecar.pid, number)
    assert sidecar._running
    return sidecar._running.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_under_load_keeps_everything_acknowledged(
    stack: Stack, number: signal.Signals
) -> None:
    sidecar = stack.sidecar(CONFIG)
    with Load(sidecar) as load:
        code = end(sidecar, number)
    assert code == 0
    acknowledged = numbers_of(load.acknowledged)
    line = read_ledger(settings_of(sidecar)).lines[0]
    assert line.balanced
    assert line.pending == 0, "what was accepted is stored before the end"
    assert set(stored(sidecar)) >= acknowledged
    sidecar.run()
    there = wait_until_stored(sidecar, acknowledged)
    assert len(there) == len(set(there))
    assert set(there) >= acknowledged


def test_parts_whose_parent_was_killed_stop_and_another_sidecar_starts(stack: Stack) -> None:
    sidecar = stack.sidecar(CONFIG)
    orphans = parts_of(sidecar)
    with export_to(sidecar) as export:
        export(payload(0), timeout=20)
        sidecar.kill()
        sidecar.run()
        wait_for(lambda: not any(map(runs, orphans.values())), "the orphans have stopped")
        assert not set(parts_of(sidecar).values()) & set(orphans.values())
        export(payload(1), timeout=60, wait_for_ready=True)
    assert wait_until_stored(sidecar, numbers_of([0, 1])) == list(range(1, 7))
    assert end(sidecar, signal.SIGTERM) == 0


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("taken", ["receive.listen", "metrics.listen"])
def test_a_taken_port_ends_the_sidecar_with_the_name_of_the_setting(
    taken: str, tmp_path: Path
) -> None:
    with taken_port() as port:
        ports = {"receive.listen": free_ports(["a"])["a"], "metrics.listen": free_ports(["b"])["b"]}
        ports[taken] = port
        (tmp_path / "evalspan.yaml").write_text(
            f"data: {tmp_path / 'data'}\n"
            f'receive: {{listen: "127.0.0.1:{ports["receive.listen"]}"}}\n'
            f'metrics: {{listen: "127.0.0.1:{ports["metrics.listen"]}"}}\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "evalspan", "serve"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == FATAL
    assert f"127.0.0.1:{port}" in done.stderr
    assert taken in done.stderr
    assert "Traceback" not in done.stderr


def test_two_processes_never_do_one_work_on_the_same_data(tmp_path: Path) -> None:
    with (
        alone(tmp_path, "pipeline"),
        alone(tmp_path, "receive"),
        pytest.raises(AlreadyRunsError, match=f"process {os.getpid()} does this work"),
        alone(tmp_path, "pipeline", wait_seconds=0.2),
    ):
        pass
    with alone(tmp_path, "pipeline", wait_seconds=0):
        pass


def test_who_waits_for_another_one_can_be_told_to_stop(tmp_path: Path) -> None:
    with (
        alone(tmp_path, "pipeline"),
        pytest.raises(AlreadyRunsError),
        alone(tmp_path, "pipeline", stop=lambda: True),
    ):
        pass


def code_of(
    export: "grpc.UnaryUnaryMultiCallable[bytes, bytes]", content: bytes
) -> tuple[grpc.StatusCode, bytes]:
    """Send once; return the status and its details."""
    try:
        export(content, timeout=20)
    except grpc.RpcError as error:
        told = [x.value for x in error.trailing_metadata() if x.key == "grpc-status-details-bin"]
        return error.code(), b"".join(part for part in told if isinstance(part, bytes))
    return grpc.StatusCode.OK, b""


def test_a_full_disk_refuses_with_a_delay_and_loses_nothing(stack: Stack, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mib=48) as disk:
        config = CONFIG.replace("$data", str(disk / "data"))
        sidecar = stack.sidecar(config.replace("wal: {", "wal: {keep_free_mib: 2, "))
        before = parts_of(sidecar)
        large, last = payload(2, "x" * 100_000), payload(3)
        with export_to(sidecar) as export:
            export(payload(0), timeout=20)
            wait_until_stored(sidecar, numbers_of([0]))
            export(payload(1), timeout=20)
            # room for the end of a segment, none for what is made of it
            filler = fill(disk, left_bytes=3 * 4096)
            wait_for(lambda: "not_stored" in sidecar.log(), "the tables find no room")
            # the log looks at the disk once a second
            refusal = wait_for(
                lambda: None if (got := code_of(export, large))[0] is OK else got, "it refuses"
            )
            assert refusal[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert b"google.rpc.RetryInfo" in refusal[1]
            assert answers(f"{sidecar.url()}/metrics")
            filler.unlink()
            wait_for(lambda: code_of(export, last)[0] is OK, "the log takes requests again")
        there = wait_until_stored(sidecar, numbers_of([0, 1, 3]))
        assert set(there) >= numbers_of([0, 1, 3])
        assert len(there) == len(set(there))
        assert parts_of(sidecar) == before, "no part has died of it"
        assert end(sidecar, signal.SIGTERM) == 0
