"""The demo's sidecar, where somebody takes a port between its choice and its use."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalspan.demo import SCHEMA, _sidecar
from evalspan.pipeline import alone


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / SCHEMA.name).write_bytes(SCHEMA.read_bytes())
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def choose_first(monkeypatch: pytest.MonkeyPatch, ports: list[int]) -> list[list[int]]:
    """Let the first choice be these ports; returns every choice, as it is made."""
    choose, choices = _sidecar._ports, list[list[int]]()

    def chosen(*wanted: int) -> list[int]:
        choices.append(choose(*wanted) if choices else ports)
        return choices[-1]

    monkeypatch.setattr(_sidecar, "_ports", chosen)
    return choices


@pytest.mark.parametrize("number", [0, 1], ids=["of spans", "of metrics"])
def test_a_port_that_was_taken_meanwhile_is_left_for_another_one(
    number: int, place: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = _sidecar._ports(0, 0)
    ports[number] = taken
    choose_first(monkeypatch, ports)
    with _sidecar.sidecar(place) as (settings, alive):
        listens = {settings.receive.listen, settings.metrics.listen}
        alive()
        assert f"127.0.0.1:{taken}" not in listens
        for address in listens:
            host, _, port = address.partition(":")
            socket.create_connection((host, int(port)), timeout=20).close()


def test_it_tries_so_often_and_says_why(
    place: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sidecar, "MOST_TRIES", 1)
    choose_first(monkeypatch, [taken, *_sidecar._ports(0)])
    told = rf"the sidecar has ended: .*event=cannot_start.*127.0.0.1:{taken}"
    with pytest.raises(ChildProcessError, match=told), _sidecar.sidecar(place):
        pass


def test_what_another_port_does_not_mend_is_not_tried_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = choose_first(monkeypatch, _sidecar._ports(0, 0))
    told = "does this work on the same data"
    with alone(place / "data" / "run", "serve"), pytest.raises(ChildProcessError, match=told):
        _sidecar._start(place)
    assert all(choice == choices[0] for choice in choices)


def test_ports_are_two() -> None:
    assert len({*_sidecar._ports(0, 0)}) == 2
