"""Reports as files and as pages."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import NOW, REGRESSION, sample

from evalspan.report import Response, load_all, page, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    other = {**REGRESSION, "id": "other", "state": "resolved", "slice": '{"customer": "acme"}'}
    save(sample(), tmp_path)
    save(sample(regression=other, now=NOW + timedelta(hours=1)), tmp_path)
    return tmp_path


def body(response: Response) -> str:
    return response[2].decode()


def test_reports_come_back_newest_first(folder: Path) -> None:
    stored = load_all(folder)
    assert [each.slice["customer"] for each in stored.reports] == ["acme", "globex"]
    assert stored.unreadable == ()
    assert load_all(folder / "nowhere").reports == ()


def test_a_report_replaces_the_one_of_the_same_id(folder: Path) -> None:
    save(sample(now=NOW + timedelta(days=1)), folder)
    assert len(load_all(folder).reports) == 2
    assert not [path for path in folder.iterdir() if path.suffix != ".json"]


def test_a_file_that_cannot_be_read_is_told_and_hides_no_other(folder: Path) -> None:
    (folder / "0000000000000000.json").write_text("{<script>")
    stored = load_all(folder)
    assert len(stored.reports) == 2
    assert stored.unreadable[0][0] == "0000000000000000.json"
    assert "0000000000000000.json" in body(page("", folder))
    assert page("0000000000000000", folder)[0] == 500


def test_the_index_filters_by_words_and_state(folder: Path) -> None:
    everything = body(page("", folder))
    assert "2 of 2 reports" in everything
    assert everything.index("customer = acme") < everything.index("customer = globex")
    some = body(page("?q=globex+json_schema", folder))
    assert "1 of 2 reports" in some
    assert "customer = acme" not in some
    assert "1 of 2 reports" in body(page("/?state=resolved", folder))
    assert "0 of 2 reports" in body(page("?q=nothing&state=open", folder))
    assert "2 of 2 reports" in body(page("?check=json_schema&direction=regression&state=", folder))
    assert "0 of 2 reports" in body(page("?check=other", folder))
    assert "0 of 2 reports" in body(page("?direction=improvement", folder))


def test_an_alert_leads_to_the_report_of_its_regression(folder: Path) -> None:
    status, _, _, headers = page("?id=other", folder)
    assert status == 303
    found = page(headers["Location"].removeprefix("./"), folder)
    assert "customer = acme" in body(found)
    assert page("?id=nothing", folder)[0] == 404
    assert page("?id=", folder)[0] == 200


def test_the_filter_offers_what_there_is_and_keeps_what_was_chosen(folder: Path) -> None:
    text = body(page("?state=resolved&q=acme", folder))
    assert '<option value="resolved" selected="">resolved</option>' in text
    assert '<option value="regression">regression</option>' in text
    assert '<option value="json_schema">json_schema</option>' in text
    assert 'value="acme"' in text


@pytest.mark.parametrize("state", ["open", "worsening", "recovered", "muted", "resolved"])
def test_index_and_page_show_the_state(state: str, tmp_path: Path) -> None:
    report = sample(regression={**REGRESSION, "state": state})
    save(report, tmp_path)
    for text in (body(page("", tmp_path)), body(page(report.id, tmp_path))):
        assert re.search(rf'class="badge (good|bad|unsure)">{state}<', text)


def test_the_words_of_the_filter_are_escaped(folder: Path) -> None:
    text = body(page("?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", folder))
    assert "<script" not in text


def test_a_page_that_is_served_leads_to_the_others(folder: Path) -> None:
    report = sample()
    text = body(page(f"/{report.id}", folder))
    for link in ("./", f"{report.id}.json", f"{report.id}.md"):
        assert f'href="{link}"' in text


def test_a_report_has_three_forms(folder: Path) -> None:
    name = sample().id
    status, kind, content, headers = page(f"/{name}", folder)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b"<!DOCTYPE html>" in content
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    status, kind, content, _ = page(f"{name}.json", folder)
    assert (status, kind, json.loads(content)["id"]) == (200, "application/json", name)
    status, kind, content, _ = page(f"{name}.md", folder)
    assert (status, kind, content[:14]) == (200, "text/plain; charset=utf-8", b"# json\\_schema")


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "0123456789abcdef/../x",
        "0123456789abcdef",
        "0123456789ABCDEF",
        "0123456789abcdef.txt",
        "\x00",
        "0123456789abcdef\n",
    ],
)
def test_there_is_no_way_out_of_the_folder(path: str, folder: Path) -> None:
    (folder.parent / "secret.json").write_text(sample().model_dump_json())
    assert page(path, folder)[0] == 404


@settings(max_examples=100, deadline=None)
@given(path=st.text(max_size=60))
def test_any_path_is_answered(path: str) -> None:
    status, _, content, _ = page(path, Path("/nonexistent"))
    assert status in {200, 404}
    assert b"<script" not in content
