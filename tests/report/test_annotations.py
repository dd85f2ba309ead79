"""Annotations of Grafana, against a stand-in that has its API of annotations and nothing else."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError
from report_hostile import HOSTILE, hostile
from report_samples import NOW, REGRESSION, sample

from evalspan.report import (
    Flushed,
    GrafanaSettings,
    ReportSettings,
    annotation,
    outbox_of_annotations,
    state_id,
)

TOKEN = "glsa_of_the_test"


class StandIn:
    """What a Grafana would keep; `lose` drops the answer to that many POSTs after keeping them."""

    def __init__(self) -> None:
        self.url = ""
        self.kept: list[dict[str, Any]] = []
        self.refuse: list[int] = []
        self.lose = 0
        self.asked: list[str] = []

    def find(self, query: str) -> list[dict[str, Any]]:
        wanted = set(parse_qs(query)["tags"])
        return [each for each in self.kept if wanted <= set(each["tags"])]


@contextmanager
def grafana() -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, stand_in.find(urlsplit(self.path).query))

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if stand_in.refuse:
                self._answer(stand_in.refuse.pop(0), {"message": "not now"})
                return
            stand_in.kept.append(json.loads(content))
            if stand_in.lose:
                stand_in.lose -= 1
                self.close_connection = True
                return
            self._answer(200, {"message": "Annotation added", "id": len(stand_in.kept)})

        def _answer(self, status: int, value: object) -> None:
            stand_in.asked.append(self.path)
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            content = json.dumps(value).encode()
            self.send_response(status if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


ROW = {**REGRESSION, "detected_time": NOW}


def test_a_change_of_state_becomes_one_annotation(tmp_path: Path, token: Path) -> None:
    with grafana() as stand_in:
        settings = GrafanaSettings(url=f"{stand_in.url}/", token_file=token)
        outbox = outbox_of_annotations(tmp_path / "box", settings)
        for row in (ROW, ROW, {**ROW, "state": "recovered", "detected_time": NOW}):
            report = sample(regression=row)
            outbox.put(annotation(report), state_id(report))
            assert outbox.flush(NOW).failures == ()
    assert len(stand_in.kept) == 2
    first = stand_in.kept[0]
    assert first["time"] == NOW.timestamp() * 1000
    assert {"evalspan", "state:open", "check:json_schema", "customer:globex"} <= set(first["tags"])
    told = (
        "open: json_schema for customer = globex fell: 97.0 % → 60.0 %, −37.0 points [−45.0, −29.0]"
    )
    assert told in first["text"]


def test_an_annotation_links_to_its_report() -> None:
    report = sample(settings=ReportSettings(public_url="https://evalspan.example/reports"))
    text = json.loads(annotation(report))["text"]
    assert f'href="https://evalspan.example/reports/{report.id}"' in text


def test_a_lost_answer_makes_no_second_annotation(tmp_path: Path, token: Path) -> None:
    with grafana() as stand_in:
        stand_in.lose = 1
        settings = GrafanaSettings(url=stand_in.url, token_file=token)
        outbox = outbox_of_annotations(tmp_path / "box", settings)
        outbox.put(annotation(sample(regression=ROW)))
        assert outbox.flush(NOW).waiting == 1
        assert outbox.flush(NOW + timedelta(minutes=1)) == Flushed(1, 0, ())
    assert len(stand_in.kept) == 1


@pytest.mark.parametrize("status", [302, 307, 401, 500, 503])
def test_what_is_refused_for_now_is_sent_again(status: int, tmp_path: Path, token: Path) -> None:
    with grafana() as stand_in:
        stand_in.refuse = [status]
        settings = GrafanaSettings(url=stand_in.url, token_file=token)
        outbox = outbox_of_annotations(tmp_path / "box", settings)
        outbox.put(annotation(sample(regression=ROW)))
        first = outbox.flush(NOW)
        assert (first.waiting, first.failures[0].dead) == (1, False)
        assert f"HTTP {status}" in first.failures[0].error
        assert TOKEN not in first.failures[0].error
        again = outbox_of_annotations(tmp_path / "box", settings)
        assert again.flush(NOW + timedelta(minutes=1)) == Flushed(1, 0, ())
    assert len(stand_in.kept) == 1
    assert not any("elsewhere" in path for path in stand_in.asked)


def test_a_wrong_or_missing_token_is_told_and_the_annotation_waits(tmp_path: Path) -> None:
    with grafana() as stand_in:
        settings = GrafanaSettings(url=stand_in.url)
        outbox = outbox_of_annotations(tmp_path / "box", settings)
        outbox.put(annotation(sample(regression=ROW)))
        assert "HTTP 401" in outbox.flush(NOW).failures[0].error
    settings = GrafanaSettings(url="http://127.0.0.1:1", token_file=tmp_path / "none")
    flushed = outbox_of_annotations(tmp_path / "box", settings).flush(NOW + timedelta(hours=1))
    assert (flushed.waiting, "none" in flushed.failures[0].error) == (1, True)


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_trace_held_is_no_markup_in_an_annotation(name: str) -> None:
    request = annotation(hostile(HOSTILE[name]))
    assert request.isascii()
    assert len(request) < 10_000
    found = json.loads(request)
    inside = found["text"].removeprefix("<b>evalspan</b>")
    assert "<" not in inside
    assert "\n" not in inside
    assert all(tag.isprintable() and len(tag.encode()) <= 100 for tag in found["tags"])
    assert sum(len(tag.encode()) + 3 for tag in found["tags"]) + 1 <= 500, "Grafana's own limit"


def test_names_too_long_for_a_tag_stand_in_the_text_of_an_annotation() -> None:
    place = {name: name * 90 for name in ("a", "\N{WATCH}", "c", "d")}
    row = {**ROW, "check": "k" * 150, "id": "i" * 150, "slice": json.dumps(place)}
    report = sample(regression=row)
    found = json.loads(annotation(report))
    tags = found["tags"]
    assert tags[3] == f"check:{'k' * 91}…"
    assert (tags[0], tags[-1]) == ("evalspan", f"event:{state_id(report)}"), "found again by them"
    assert "a:" + "a" * 90 in tags
    assert not any(tag.startswith("d:") for tag in tags), "there is no room for all of them"
    for words in ("k" * 150, "i" * 150, *(f"{name} = {value}" for name, value in place.items())):
        assert words in found["text"]


def test_an_address_of_grafana_is_one_of_the_web() -> None:
    with pytest.raises(ValidationError, match="starts with http"):
        GrafanaSettings(url="grafana:3000")
