"""Every renderer, with friendly and with hostile content."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from report_hostile import HOSTILE, hostile
from report_samples import (
    FINDING,
    NOW,
    REGRESSION,
    TRACES,
    change,
    failures,
    outcome,
    sample,
)

from evalspan.plugin import PluginError
from evalspan.report import (
    RENDERERS,
    Report,
    ReportSettings,
    build,
    records_schema,
    records_schema_text,
    render,
)
from evalspan.report._axes import time_ticks
from evalspan.report._diff import side_by_side
from evalspan.report._text import one_line, visible


class Page(HTMLParser):
    """Collects tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def records(report: Report) -> list[LogRecord]:
    request = ExportLogsServiceRequest.FromString(bytes(render(report, "otlp")))  # type: ignore[arg-type]
    return list(request.resource_logs[0].scope_logs[0].log_records)


def acting(text: str) -> Iterator[str]:
    """Characters that do something instead of standing there."""
    marks = 0
    for character in text:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        hidden = kind[0] == "C" or character in "\u115f\u1160\u2800\u3164\uffa0"
        if marks > 8 or (hidden and character not in "\n\t\u200c\u200d"):
            yield character


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_stays_text_on_the_page(name: str) -> None:
    text = str(render(hostile(HOSTILE[name]), "html"))
    page = Page(text)
    assert page.tags.isdisjoint({"script", "img", "iframe", "object", "base", "embed"})
    assert not [entry for entry in page.attributes if entry[1].startswith("on")]
    assert {value for _, key, value in page.attributes if key == "src"} == set()
    links = [str(value) for _, key, value in page.attributes if key == "href"]
    assert all(re.match(r"\./$|[0-9a-f]{16}\.(json|md)$", link) for link in links)
    assert not list(acting(text))
    assert len(text) < 300_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_stays_text_in_a_terminal(name: str) -> None:
    text = str(render(hostile(HOSTILE[name]), "terminal"))
    assert not list(acting(text))
    assert not re.search(r"^\d{4}-\d\d-\d\d level=error", text, re.MULTILINE)
    assert len(text) < 100_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_stays_text_in_markdown(name: str) -> None:
    text = str(render(hostile(HOSTILE[name]), "markdown"))
    assert not list(acting(text))
    outside = re.sub(r"^(`{3,})diff\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "```" not in outside
    assert not re.search(r"(?<!\\)[<\[]|://|^level|^2026|^Set-Cookie", outside, re.MULTILINE)
    assert len(text) < 200_000
    assert not re.search(r"(?<!`)(@|#\d)", outside), "nobody is called, nothing is linked"
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {8}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_stays_one_line_in_a_log(name: str) -> None:
    found = records(hostile(HOSTILE[name]))
    assert len(found) == 3
    for record in found:
        line = record.body.string_value
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 200_000
        json.loads(line)
        for attribute in record.attributes:
            value = attribute.value.string_value
            assert len(value) < 200
            assert "\n" not in value
            assert not list(acting(value))


@settings(max_examples=60, deadline=None)
@given(text=st.text())
def test_nothing_acts_in_visible_text(text: str) -> None:
    assert not list(acting(visible(text)))
    assert "\n" not in one_line(text)
    assert "\t" not in one_line(text)


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_can_be_rendered(text: str) -> None:
    report = hostile(text)
    tags = Page(str(render(report, "html"))).tags
    assert "script" not in tags
    for name in ("terminal", "markdown", "otlp"):
        assert render(report, name)


def test_lines_that_are_too_long_are_cut_with_a_marker() -> None:
    assert visible("a" * 3000 + "\nb") == "a" * 2000 + " … [1,000 characters more]\nb"
    assert one_line("a\nb") == "a ⏎ b"
    assert visible("\x1b[0m\u202e") == r"\x1b[0m\u202e"


def test_what_is_no_trace_id_is_no_link() -> None:
    changes = [change(trace_id=trace) for trace in ("..", "a/b", TRACES[0])]
    page = Page(str(render(sample(outcome=outcome(better=changes)), "html")))
    links = [str(value) for _, name, value in page.attributes if name == "href"]
    found = [link.removeprefix("https://tempo.example/") for link in links if "tempo" in link]
    assert TRACES[0] in found
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in found)


def test_attributes_of_a_record_are_short_lines_whatever_they_tell() -> None:
    report = sample(
        regression={**REGRESSION, "direction": "a\nb\x1b", "kind": "k" * 300},
        findings=[{**FINDING, "kind": "c\u202e" * 200}],
        outcome=outcome(verdict="v\n" * 200),
    )
    for record in records(report):
        for value in attributes(record).values():
            assert len(value.encode()) <= 100
            assert "\n" not in value
            assert not list(acting(value))


def test_the_page_forbids_scripts_and_outside_assets() -> None:
    text = str(render(sample(), "html"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe" not in policy[1]
    page = Page(text)
    assert not [entry for entry in page.attributes if entry[1] in {"src", "style", "srcset"}]
    assert "svg" in page.tags
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_has_the_figures_the_charts_and_the_diffs() -> None:
    report = sample(findings=[FINDING, {**FINDING, "rank": 2, "share": 0.07}])
    text = str(render(report, "html")).replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "json_schema for customer = globex fell: 97.0 % → 60.0 %",
        "offers.price is a text, not a number",
        "31 of 32",
        "97.0 % → 60.0 %, −37.0 points [−45.0, −29.0]",
        "fell further",
        "pass rate of json_schema, %",
        "time, UTC",
        "share of the drop, %",
        "difference, percentage points",
        "needs 12 more",
        "improves json_schema by 30 points but language falls",
        "<del>numbers</del>",
        "<ins>text</ins>",
        f'href="https://tempo.example/{TRACES[0]}"',
        "Cases that got better (1)",
        "0.25 US dollars",
    ):
        assert words in text


def test_words_are_compared_while_that_takes_few_steps() -> None:
    few = side_by_side("@@ -1,2 +1,2 @@\n-a long line\n+a short line\n same")
    assert (few.count("<del>"), few.count("<ins>"), few.count("<td>same</td>")) == (1, 1, 2)
    many = "\n".join(["-" + "a " * 990, "+" + "a " * 980 + "b"] * 25)
    shown = side_by_side(f"@@ -1,25 +1,25 @@\n{many}")
    assert shown.count("a " * 980 + "b") == 25
    assert "<ins>" not in shown


def test_every_renderer_says_what_failed() -> None:
    for name in ("html", "terminal", "markdown"):
        text = " ".join(str(render(sample(), name)).split())
        assert "What fails" in text
        assert "offers.price is a text, not a number" in text
        assert "31 of 32" in text
    assert body(records(sample())[0])["failures"]["reasons"][0]["count"] == 31


def test_every_renderer_says_of_when_its_figures_are_and_what_became_of_each_proposal() -> None:
    for name in ("html", "terminal", "markdown"):
        text = str(render(sample(), name)).replace("\\", "")
        text = " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())
        assert "are as of 1 Mar 2026 12:00 UTC, when this report was made" in text
        told = "7 proposals in 3 rounds: 1 accepted, 1 rejected, 5 left out"
        assert told in text, name
        assert not re.search(r"\d ?% to \d", text), name


def test_every_renderer_says_what_broke_in_a_search() -> None:
    failed = "108 of 120 calls failed: 108 × ConnectionError: quota"
    report = sample(outcome=outcome(errors=[failed]))
    for name in ("html", "terminal", "markdown"):
        assert failed in str(render(report, name)), name


def test_a_bare_regression_renders_everywhere() -> None:
    names = ("id", "check", "candidate_n")
    report = build({name: REGRESSION[name] for name in names}, [], now=NOW)
    for name in ("html", "terminal", "markdown", "otlp"):
        assert render(report, name)


def test_a_change_within_a_minute_is_dated_once() -> None:
    row = REGRESSION | dict.fromkeys(("change_low", "change_high"), REGRESSION["change_time"])
    page = str(render(build(row, [], now=NOW), "html"))
    assert page.count("16:00 UTC</") == 1
    assert ", between " not in page


def test_minutes_of_data_have_times_on_the_axis() -> None:
    assert [label for _, label in time_ticks(3600.0, 3625.0, 7)] == [
        "01:00:00", "01:00:05", "01:00:10", "01:00:15", "01:00:20", "01:00:25",
    ]  # fmt: skip
    assert [label for _, label in time_ticks(0.0, 240.0, 7)][1:] == [
        "00:01", "00:02", "00:03", "00:04",
    ]  # fmt: skip


def test_markdown_says_what_lists_of_traces_are() -> None:
    text = str(render(build(REGRESSION, [FINDING], now=NOW), "markdown"))
    assert "Example traces:\n\n- `" in text
    assert "## Example traces\n\n- `" in text


def test_a_trace_stands_once_on_a_page_and_all_that_there_were_stay() -> None:
    traces = [f"{number:032x}" for number in range(1, 8)]
    findings = [{**FINDING, "rank": n, "exemplars": traces[:5]} for n in (1, 2)]
    report = build({**REGRESSION, "exemplars": traces}, findings, now=NOW, failures=failures())
    for name in ("html", "terminal", "markdown"):
        text = str(render(report, name))
        shown = re.findall(r'[0-9a-f]{32}(?!")', text)
        assert sorted(shown) == sorted(set(shown)), name
        assert set(traces) <= set(shown), name


def test_bare_trace_ids_come_with_how_to_see_the_trace() -> None:
    bare = build(REGRESSION, [FINDING], now=NOW, failures=failures())
    hint = "set report.trace_url to make its id a link, or run `evalspan trace ID`"
    for name in ("html", "terminal", "markdown"):
        text = " ".join(str(render(bare, name)).replace("\\", "").split())
        assert text.count(hint) == 1, name
        nothing = build({**REGRESSION, "exemplars": []}, [], now=NOW)
        assert "report.trace_url" not in str(render(nothing, name)), name
    assert "report.trace_url" not in str(render(sample(), "html"))


def test_a_page_in_a_file_has_no_links_that_only_a_server_can_follow() -> None:
    text = str(render(sample(), "html"))
    links = re.findall(r'href="([^"]*)"', text)
    assert links
    assert all(link.startswith("https://") for link in links), links


def test_log_records_have_names_ids_and_traces() -> None:
    first, again = records(sample()), records(sample())
    names = [record.event_name for record in first]
    assert names == ["evalspan.regression", "evalspan.root_cause", "evalspan.optimization"]
    assert first[0].trace_id.hex() == TRACES[0]
    assert (first[1].trace_id.hex(), first[1].span_id.hex()) == (TRACES[0], f"{7:016x}")
    ids = [body(record)["event_id"] for record in first]
    assert ids == [body(record)["event_id"] for record in again]
    assert len(set(ids)) == 3
    assert [record.severity_text for record in first] == ["WARN", "WARN", "INFO"]
    assert not any("id" in key for record in first for key in attributes(record))
    search = body(first[2])
    assert search["verdict"] == "accepted with reservations"
    assert search["rejected"][0]["reason"].startswith("improves json_schema")
    assert {body(record)["regression_id"] for record in first} == {REGRESSION["id"]}


def test_each_change_of_state_is_a_record_and_causes_come_with_what_got_worse() -> None:
    seen: set[str] = set()
    for hour, state in enumerate(("open", "worsening", "recovered", "open", "muted", "resolved")):
        time = NOW + timedelta(hours=hour)
        row = {**REGRESSION, "state": state, "detected_time": time}
        found = records(sample(regression=row, outcome=None))
        bad = state in {"open", "worsening"}
        assert [record.severity_text for record in found] == ["WARN"] * 2 if bad else ["INFO"]
        assert body(found[0])["state_time"] == time.isoformat().replace("+00:00", "Z")
        new = {str(body(record)["event_id"]) for record in found}
        assert len(new) == len(found)
        assert not new & seen
        seen |= new


def test_a_body_fits_the_committed_schema() -> None:
    committed = files("evalspan.report").joinpath("records.schema.json").read_text("utf-8")
    assert committed == records_schema_text()
    validator = jsonschema_rs.validator_for(records_schema())
    reports = [sample(), sample(regression=None), *map(hostile, HOSTILE.values())]
    for report in reports:
        for record in records(report):
            validator.validate(body(record))
    assert not validator.is_valid({**body(records(sample())[0]), "state": 1})


def test_only_the_records_that_are_asked_for_are_sent() -> None:
    request = render(sample(), "otlp", only=["evalspan.optimization"])
    found = ExportLogsServiceRequest.FromString(bytes(request)).resource_logs[0]  # type: ignore[arg-type]
    names = [record.event_name for record in found.scope_logs[0].log_records]
    assert names == ["evalspan.optimization"]


def test_a_record_says_where_its_report_is() -> None:
    settings = ReportSettings(public_url="https://evalspan.example/reports/")
    report = sample(settings=settings)
    url = f"https://evalspan.example/reports/{report.id}"
    assert {body(record)["report_url"] for record in records(report)} == {url}


def body(record: LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.body.string_value)
    return found


def attributes(record: LogRecord) -> dict[str, Any]:
    return {each.key: each.value.string_value for each in record.attributes}


def test_a_terminal_has_colour_where_it_is_asked_for() -> None:
    assert "\x1b[" not in str(render(sample(), "terminal"))
    coloured = str(render(sample(), "terminal", width=60, colour=True))
    assert "\x1b[32m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert not list(acting(plain))
    assert max(map(len, plain.splitlines())) <= 60


def test_a_renderer_of_the_user_and_an_unknown_one() -> None:
    assert render(sample(), "report_samples:shown") == "shown"
    with pytest.raises(PluginError, match="Did you mean 'markdown'"):
        render(sample(), "markdwn")
    assert RENDERERS == "evalspan.report.renderers"
