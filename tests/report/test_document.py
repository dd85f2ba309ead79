"""The document: its schema, its words, its identity."""

import json
from datetime import timedelta
from importlib.resources import files

import jsonschema_rs
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from report_samples import (
    FINDING,
    NOW,
    REGRESSION,
    comparison,
    judgement,
    outcome,
    proposal,
    sample,
)

from evalspan.report import (
    Report,
    ReportError,
    ReportSettings,
    json_schema,
    render,
    schema_text,
)
from evalspan.report._document import FailureReason, Failures
from evalspan.report._reasons import _DATA, failures, plain
from evalspan.report._words import of_failures


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
    assert report.title == "json_schema for customer = globex fell: 97.0 % → 60.0 %"
    assert report.summary.startswith(
        "Since 28 Feb 2026 16:00 UTC the pass rate of json_schema for customer = globex went "
        "97.0 % → 60.0 %, −37.0 points [−45.0, −29.0] (640 verdicts before, 80 after). "
        "Commonest failure: offers.price is a text, not a number, the reason of 31 of 32 "
        "failures since, and of 1 of 19 before. Most likely cause: the prompt changed from v1 to "
        "v2 (93 % of the drop [80 %, 105 %])."
    )


def test_a_difference_that_is_adjusted_for_mix_is_called_like_for_like() -> None:
    assert "like for like" not in sample().summary
    report = sample(regression={**REGRESSION, "effect": -0.30})
    assert "97.0 % → 60.0 %, −30.0 points like for like [−45.0, −29.0]" in report.summary


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("worsening", "fell further"),
        ("recovered", "back within the minimum effect"),
        ("muted", "It is muted"),
        ("resolved", "It has ended"),
    ],
)
def test_the_summary_says_the_state(state: str, words: str) -> None:
    report = sample(regression={**REGRESSION, "state": state}, outcome=None)
    assert (report.state, words in report.summary) == (state, True)


def test_a_mute_says_until_when_and_why() -> None:
    row = {**REGRESSION, "state": "muted", "mute_reason": "known", "mute_until": NOW}
    assert "Muted until 1 Mar 2026 12:00 UTC: known." in sample(regression=row).summary


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("open", "open since 28 Feb 2026 12:00 UTC, figures of 1 Mar 2026 12:00 UTC"),
        ("worsening", "worsening since 28 Feb 2026 12:00 UTC, figures of 1 Mar 2026 12:00 UTC"),
        ("recovered", "recovered since 28 Feb 2026 12:00 UTC, figures of the time before that"),
        ("muted", "muted on 1 Mar 2026 12:00 UTC, figures of then"),
        ("resolved", "resolved on 28 Feb 2026 12:00 UTC, figures of the time before that"),
    ],
)
def test_the_summary_says_of_when_state_and_figures_are(state: str, words: str) -> None:
    shown = NOW - timedelta(days=1)
    row = {**REGRESSION, "state": state, "detected_time": NOW, "state_time": shown}
    expected = f"(640 verdicts before, 80 after; {words})"
    assert expected in sample(regression=row).summary


def test_a_mute_is_dated_by_when_it_was_made_and_what_comes_after_it_by_both_times() -> None:
    opened, muted, again = (NOW - timedelta(hours=hours) for hours in (40, 2, 1))
    rows = [
        {"state": "open", "state_time": opened, "detected_time": opened},
        {"state": "muted", "state_time": opened, "detected_time": muted},
        {"state": "open", "state_time": opened, "detected_time": again},
    ]
    report = sample(regression={**REGRESSION, **rows[1]}, states=rows)
    assert [each.time for each in report.states] == [opened, muted, opened]
    assert report.regression
    assert report.regression.state_time == muted
    text = str(render(report, "html"))
    for told in (
        "since 27 Feb 2026 20:00 UTC</span>",
        "on 1 Mar 2026 10:00 UTC</span>",
        "since 27 Feb 2026 20:00 UTC, seen 1 Mar 2026 11:00 UTC</span>",
    ):
        assert told in text
    assert "regression, muted on 1 Mar 2026 10:00 UTC; fell since 28 Feb 2026 16:00 UTC" in str(
        render(report, "markdown")
    )
    assert ">fell since<" in text


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((37, 37, 3, 3), "the reason of all 37 failures since, and of all 3 before"),
        ((31, 32, 1, 19), "the reason of 31 of 32 failures since, and of 1 of 19 before"),
        ((31, 32, 0, 19), "the reason of 31 of 32 failures since, and of none of 19 before"),
        ((31, 32, 0, 0), "the reason of 31 of 32 failures since"),
        ((1, 1, 1, 1), "the reason of the 1 failure since, and of the 1 before"),
        ((1, 2, 0, 1), "the reason of 1 of 2 failures since, and of none of 1 before"),
    ],
)
def test_a_count_of_failures_is_a_phrase(counts: tuple[int, int, int, int], words: str) -> None:
    after, count, before, count_before = counts
    reason = FailureReason(words="x", count=after, count_before=before, exemplars=())
    failed = Failures(count=count, count_before=count_before, reasons=(reason,), others=0)
    assert of_failures(reason, failed) == words


def test_a_blank_value_of_a_slice_is_called_none() -> None:
    row = {**REGRESSION, "slice": '{"customer": ""}'}
    assert sample(regression=row).title.startswith("json_schema for customer = (none) fell")
    blank = {**comparison("json_schema", 0.5, 1.0, "not worse"), "slice": {"customer": " "}}
    tried = outcome(accepted=proposal(judgement=judgement("accepted", slices=[blank])))
    text = str(render(sample(outcome=tried), "html"))
    assert "json_schema · customer = (none)" in text


def test_the_summary_says_once_what_became_of_the_search() -> None:
    text = sample().summary
    assert text.endswith(
        "A prompt change was searched for and accepted with reservations: json_schema rises: "
        "60.0 % → 95.0 % on 120 cases."
    )
    tried = outcome(accepted=None, verdict="rejected", summary="None was better.")
    assert sample(outcome=tried).summary.endswith(
        "A prompt change was searched for. None was better."
    )


def test_the_states_stand_in_order_of_time() -> None:
    assert [each.state for each in sample().states] == ["open", "worsening"]


def test_reasons_that_differ_in_data_only_are_one() -> None:
    failed = sample().failures
    assert (failed.count, failed.count_before, failed.others) == (32, 19, 0)
    first, second = failed.reasons
    assert (first.words, first.count, first.count_before) == (
        "offers.price is a text, not a number", 31, 1,
    )  # fmt: skip
    assert len(first.exemplars) == 3
    assert first.exemplars[0].span_id
    assert second.words == "offers: [] has less than 1 item"


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["1300 ms, limit 1000 ms", "1450.5 ms, limit 1000 ms"], "… ms, limit 1000 ms"),
        (["not JSON: expected value at line 1 column 9"], "not JSON: expected value"),
        (['$[0]: "name" is a required property'], "name is missing"),
        (['$.a[2].b: {"c": 1} is not of types "null", "string"'],
         "a.b is an object, not null or a text"),
        (['$.c: "DM" is not one of "EUR" or "USD"'], 'c is not one of "EUR" or "USD"'),
        (["tool 'x' failed", "tool 'y' failed"], "tool … failed"),
        ([None, ""], "no reason given"),
        ([f"$.a: {{{n}: 'x'}}" + "x" * 2_000 for n in range(3)],
         "a is an object that does not fit"),
    ],
)  # fmt: skip
def test_a_reason_says_what_the_cases_share(reasons: list[str], words: str) -> None:
    ids = [f"{n:032x}" for n in range(len(reasons))]
    frame = pl.DataFrame(
        {"reason": reasons, "trace_id": ids, "span_id": ids, "after": True},
        schema_overrides={"reason": pl.String},
    )
    failed = sample(failures=frame).failures
    assert [(each.words, each.count) for each in failed.reasons] == [(words, len(reasons))]


@pytest.mark.parametrize(
    "reason",
    [
        '"' + '\\"' * 100_000,
        '"' + '\\"' * 100_000 + "\\",
        '"' + '\\"' * 100_000 + "\\\n" * 3,
        "'x" * 100_001,
        "0123456789abcdef" * 12_000 + "g",
        "1." * 100_000 + "x",
        "https://" * 25_000,
        "$" + "." * 200_000,
        "$.a: " + ' is not of type "a"' * 10_000 + "x",
        "$.a: x is not of types " + ', "a"' * 40_000 + "x",
        "$.a: " + '"b" is a required property' * 8_000,
        " at line 1" * 20_000,
    ],
)
def test_a_hostile_reason_of_two_hundred_thousand_characters_is_read_at_once(reason: str) -> None:
    assert _DATA.split(plain(reason))


def test_a_value_that_was_cut_is_data_to_its_end() -> None:
    assert _DATA.findall('is not "a text of \\" that goes on') == ['"a text of \\" that goes on']


TEXTS = st.lists(st.tuples(st.text(max_size=80) | st.none(), st.booleans()), max_size=60)


@settings(max_examples=50, deadline=None)
@given(rows=TEXTS)
def test_whatever_the_reasons_are_every_failure_is_counted_once(
    rows: list[tuple[str | None, bool]],
) -> None:
    names = ["reason", "after"]
    kinds = {"reason": pl.String, "after": pl.Boolean}
    frame = pl.DataFrame(rows, schema=names, orient="row", schema_overrides=kinds)
    failed = failures(frame.with_columns(trace_id=pl.lit("0" * 32), span_id=pl.lit(None)))
    count = sum(after for _, after in rows)
    if failed is None:
        assert count == 0
        return
    assert failed.count == sum(each.count for each in failed.reasons) + failed.others == count
    assert failed.count_before == len(rows) - count
    assert all(each.words and len(each.words) < 400 for each in failed.reasons)


def test_rare_reasons_are_counted_together_and_nothing_failed_is_no_section() -> None:
    texts = [f"kind {'abcdefgh'[n % 8]}" for n in range(40)]
    frame = pl.DataFrame({"reason": texts, "trace_id": "x", "span_id": "x", "after": True})
    failed = sample(failures=frame).failures
    assert (len(failed.reasons), failed.others) == (5, 15)
    assert sample(failures=frame.clear()).failures is None


def test_an_exemplar_gets_the_span_that_failed() -> None:
    report = sample(regression={**REGRESSION, "exemplars": [f"{1:032x}", f"{99:032x}"]})
    spans = [each.span_id for each in report.regression.exemplars]
    assert spans == [f"{1:016x}", None]


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        ("improvement", "rose: "),
        ("mix_shift", "moved because the mix of traffic changed: "),
        ("revision", "moved because the check itself was changed: "),
    ],
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
    again = sample(regression={**REGRESSION, "id": "another"})
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
