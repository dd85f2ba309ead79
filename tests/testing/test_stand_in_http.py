"""The stand-in model server on the wire: what leaves when, and what it refuses."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalspan.testing import ModelServer, Scenario, load_scenario

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(Scenario()) as running:
        yield running


def connected(server: ModelServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def raw_post(body: bytes, *, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def read_answer(connection: socket.socket) -> tuple[str, bytes]:
    file = connection.makefile("rb")
    status = file.readline().decode()
    length = 0
    while (line := file.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return status, file.read(length)


def test_head_and_body_leave_in_one_write(server: ModelServer) -> None:
    with connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT).encode()))
        first = connection.recv(65536)
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body)["object"] == "chat.completion"


def test_one_connection_serves_many_calls(server: ModelServer) -> None:
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(raw_post(json.dumps(CHAT).encode()))
            assert "200" in read_answer(connection)[0]
    assert server.requests["/v1/chat/completions"] == 3


def test_a_stream_with_a_latency_leaves_in_two_writes() -> None:
    with ModelServer(Scenario(), latency_seconds=0.05) as server, connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT | {"stream": True}).encode()))
        first = connection.recv(65536)
        rest = b""
        while b"[DONE]" not in rest:
            rest += connection.recv(65536)
    assert b"chat.completion.chunk" in first
    assert b"[DONE]" not in first


def test_a_client_that_asks_first_is_told_to_continue(server: ModelServer) -> None:
    body = json.dumps(CHAT).encode()
    with connected(server) as connection:
        connection.sendall(raw_post(body, headers="expect: 100-continue\r\n").removesuffix(body))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert "200" in read_answer(connection)[0]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (raw_post(b"not json"), "400"),
        (raw_post(b"[]"), "400"),
        (raw_post(b'{"model": "m"}'), "400"),
        (raw_post(b'{"model": "m", "messages": [{"role": "user", "content": 5}]}'), "400"),
        (raw_post(b"{}", path="/v1/embeddings"), "404"),
        (b"GET /v1/messages HTTP/1.1\r\n\r\n", "404"),
        (b"hello\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "411"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", "413"),
        (b"POST / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "431"),
    ],
)
def test_bad_requests_are_refused_and_the_server_lives_on(
    server: ModelServer, sent: bytes, status: str
) -> None:
    with connected(server) as connection:
        connection.sendall(sent)
        assert f" {status} " in read_answer(connection)[0]
    with connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT).encode()))
        assert "200" in read_answer(connection)[0]


def test_a_client_that_leaves_in_the_middle_does_no_harm(server: ModelServer) -> None:
    with connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT).encode())[:-5])
    with connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT).encode()))
        assert "200" in read_answer(connection)[0]


def test_the_counts_can_be_read_over_http(server: ModelServer) -> None:
    with connected(server) as connection:
        connection.sendall(raw_post(json.dumps(CHAT).encode()))
        read_answer(connection)
    with urllib.request.urlopen(f"{server.url}/counts", timeout=5) as answer:
        counts = json.load(answer)
    assert counts["/v1/chat/completions"] == counts["answer"] == counts["status 200"] == 1


def test_the_command_says_its_address_and_ends_quietly_on_ctrl_c() -> None:
    program = "from evalspan.testing import serve_model_server; serve_model_server()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (0, "")


def test_a_taken_port_is_an_error_at_the_start(server: ModelServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"), ModelServer(port=port):
        pass


def test_after_the_block_nobody_listens() -> None:
    with ModelServer(Scenario()) as server:
        url = server.url
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def test_a_bad_scenario_names_the_file_and_the_key(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("rewriter: {harmfull: 0.5}\nseed: x\n")
    with pytest.raises(ValueError, match=r"scenario\.yaml is not a scenario") as caught:
        load_scenario(file)
    assert "rewriter.harmfull" in str(caught.value)
    assert "seed" in str(caught.value)


def test_a_template_with_an_unknown_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("tasks: [{id: t, when: x, values: {a: b}, text: 'Dear {name}'}]\n")
    with pytest.raises(ValueError, match=r"\{name\} is not one of the task's values: \['a'\]"):
        load_scenario(file)
