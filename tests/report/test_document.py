"""The document: its schema, its words, its identity."""

import json
from datetime import timedelta
from importlib.resources import files

import jsonschema_rs
import pytest
from pydantic import ValidationError
from report_samples import FINDING, NOW, REGRESSION, outcome, proposal, sample

from evalspan.report import Report, ReportError, ReportSettings, json_schema, schema_text


def test_the_committed_schema_is_the_one_of_the_models() -> None:
    committed = files("evalspan.report").joinpath("schema.json").read_text(encoding="utf-8")
    assert committed == schema_text()


def test_a_report_fits_its_schema_and_reads_back() -> None:
    report = sample()
    document = json.loads(report.model_dump_json())
    jsonschema_rs.validator_for(json_schema()).validate(document)
    assert Report.model_validate(document) == report


def test_title_and_summary_need_no_statistics() -> None:
    report = sample()
    assert report.title == "json_schema fell from 97% to 60% for customer = globex"
    assert report.summary.startswith(
        "Since 28 Feb 2026 16:00 UTC, 60% of 80 answers pass json_schema for customer = globex; "
        "before it was 97% of 640. Like for like that is −37.0 points "
    )
    assert "Most likely cause: the prompt changed from v1 to v2. It explains 93% of it." in (
        report.summary
    )


@pytest.mark.parametrize(
    ("direction", "words"),
    [("improvement", "rose from"), ("mix_shift", "the mix of traffic changed, from")],
)
def test_what_did_not_get_worse_is_not_called_so(direction: str, words: str) -> None:
    changed = {**REGRESSION, "direction": direction, "mix_amount": -0.05}
    report = sample(regression=changed)
    assert words in report.title
    assert "fell" not in report.title
    if direction == "mix_shift":
        assert "from a changed mix of traffic, not from worse answers" in report.summary


def test_the_id_is_stable_over_repeats_states_and_outcomes() -> None:
    first = sample()
    later = sample(
        now=NOW + timedelta(days=1),
        outcome=None,
        regression={**REGRESSION, "state": "resolved", "candidate_n": 99},
    )
    again = sample(regression={**REGRESSION, "opened_time": NOW + timedelta(days=9)})
    assert first.id == later.id != again.id


def test_findings_stand_in_order_of_rank() -> None:
    report = sample(findings=[{**FINDING, "rank": 2}, {**FINDING, "title": "first"}])
    assert [each.rank for each in report.findings] == [1, 2]


def test_an_unexplained_drop_is_said_to_be_unexplained() -> None:
    report = sample(findings=[{**FINDING, "kind": "unexplained"}], outcome=None)
    assert report.summary.endswith("No cause was found that explains it.")


def test_a_search_without_a_regression_is_a_report_too() -> None:
    report = sample(regression=None, findings=[])
    assert report.kinds == ("optimization",)
    assert report.title == "json_schema: prompt change accepted with reservations"
    with pytest.raises(ReportError, match="needs a regression or the outcome"):
        sample(regression=None, outcome=None)


def test_what_is_no_trace_id_is_no_exemplar() -> None:
    ids = ["<script>", "ABC", f"{1:032x}:zz", f"{2:032x}:{3:016x}"]
    report = sample(regression={**REGRESSION, "exemplars": ids})
    found = [(each.trace_id, each.span_id) for each in report.regression.exemplars]
    assert found == [(f"{1:032x}", None), (f"{2:032x}", f"{3:016x}")]


def test_long_texts_are_cut_with_a_marker() -> None:
    report = sample(outcome=outcome(summary="x" * 1_000_000))
    assert report.optimization.summary.endswith("… [996,000 characters more]")
    assert len(report.model_dump_json()) < 100_000


def test_the_accepted_prompt_is_kept_whole_and_a_rejected_one_not_at_all() -> None:
    prompt = "rule\n" * 10_000
    report = sample(outcome=outcome(accepted=proposal(prompt=prompt)))
    document = json.loads(report.model_dump_json())["optimization"]
    assert document["accepted"]["prompt"] == prompt
    assert "prompt" not in document["rejected"][0]
    assert "prompt" in outcome()["rejected"][0]


def test_links_are_web_addresses() -> None:
    with pytest.raises(ValidationError, match="starts with http"):
        ReportSettings(trace_url="javascript:alert(1)//{trace_id}")
