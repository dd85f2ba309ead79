"""The search: what is proposed, what is proven, and what a mutator may see."""

import json
from dataclasses import replace
from pathlib import Path

import optimize_world as world
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimize_world import NOW, POWERS, cases

from evalspan.optimize import (
    Accepted,
    Case,
    MutatorSettings,
    Optimized,
    OptimizeError,
    OptimizeSettings,
    Outcome,
    Output,
    Powers,
    Rejected,
    SearchCases,
    TargetSettings,
    optimize,
)
from evalspan.optimize._propose import _runs
from evalspan.plugin import PluginError

FOLDER = Path(__file__).parent
SCRIPTED = (MutatorSettings(use="optimize_world:scripted"),)
SETTINGS = OptimizeSettings(rounds=2, mutators=SCRIPTED)


async def run(
    *sentences: str,
    frame: pl.DataFrame | None = None,
    chosen: OptimizeSettings = SETTINGS,
    powers: Powers = POWERS,
) -> Optimized:
    world.SCRIPT.seen.clear()
    world.SCRIPT.sentences = sentences
    powers = replace(powers, folder=FOLDER)
    rows = cases(120, 120) if frame is None else frame
    return await optimize(rows, "Answer.", "form", chosen, powers, now=NOW)


async def test_a_better_prompt_is_accepted_with_its_figures() -> None:
    done = await run("RULE.")
    found = done.outcome
    assert found.verdict == "accepted"
    assert found.accepted.prompt == "Answer.\nRULE."
    assert "+RULE." in found.accepted.diff
    form, language = found.accepted.judgement.checks
    assert (form.check, form.n, form.after, form.standing) == ("form", 120, 1.0, "improved")
    assert form.low > 0.3
    assert (language.standing, language.losses, language.needs) == ("not worse", 0, 0)
    assert len(found.better) == form.gains
    assert not found.worse
    assert done.trials.schema == pl.DataFrame(world.model.TRIALS.empty()).schema
    assert done.trials.height == found.replays == 120 * 4


async def test_a_prompt_that_breaks_another_check_is_rejected_for_that_reason() -> None:
    found = (await run("RULE. ENGLISH.")).outcome
    assert found.verdict == "rejected"
    assert found.accepted is None
    reason = found.rejected[0].reason
    assert reason.startswith("improves form by")
    assert "but language falls: 100.0 % → " in reason
    assert found.rejected[0].judgement.part == "holdout"


async def test_the_report_shows_the_rejected_one_beside_the_accepted_one() -> None:
    found = (await run("RULE.", "RULE. ENGLISH.")).outcome
    assert found.accepted.prompt == "Answer.\nRULE."
    assert "language falls" in found.rejected[0].reason


async def test_a_slice_that_gets_worse_is_a_veto() -> None:
    chosen = OptimizeSettings(rounds=1, mutators=SCRIPTED)
    found = (await run("RULE. SMALL.", frame=cases(240, 240, slices=4), chosen=chosen)).outcome
    assert found.verdict == "rejected"
    assert "form falls for customer=c0: " in found.rejected[0].reason
    assert found.rejected[0].judgement.checks[0].standing == "improved"


async def test_a_dearer_prompt_is_rejected() -> None:
    found = (await run("RULE. SLOW.")).outcome
    assert "an answer takes tokens 900 % more than before, 50 % is allowed" in (
        found.rejected[0].reason
    )


async def test_a_useless_prompt_is_rejected() -> None:
    found = (await run("Be careful.")).outcome
    assert found.verdict == "rejected"
    assert "does not improve form" in found.rejected[0].reason
    assert "None of 1 proposals" in found.summary


async def test_tiny_samples_say_how_many_more_are_needed() -> None:
    found = (await run("RULE.", frame=cases(8, 6))).outcome
    assert found.verdict == "rejected"
    assert "6 cases are too few to prove, needs about" in found.rejected[0].reason
    small = (await run("RULE.", frame=cases(30, 30))).outcome
    assert small.verdict == "accepted with reservations"
    assert small.accepted.judgement.reservations == (
        "language: 30 cases are too few to prove, needs 29 more",
    )


async def test_small_slices_are_named_with_what_they_need() -> None:
    found = (await run("RULE.", frame=cases(120, 120, slices=6))).outcome
    assert found.verdict == "accepted with reservations"
    (text,) = found.accepted.judgement.reservations
    assert text.startswith("customer: too few to prove for c0 (needs ")
    assert text.endswith(" and 3 more")


def test_a_rejected_proposal_has_no_prompt_to_apply() -> None:
    assert "prompt" in Accepted.model_fields
    assert "prompt" not in Rejected.model_fields
    assert "prompt" not in Outcome.model_fields


@settings(max_examples=15, deadline=None)
@given(search=st.integers(1, 40), holdout=st.integers(1, 40), seed=st.integers())
async def test_no_holdout_case_ever_reaches_a_mutator(search: int, holdout: int, seed: int) -> None:
    chosen = SETTINGS.model_copy(update={"seed": seed})
    frame = cases(search, holdout)
    await run("RULE.", "ENGLISH.", frame=frame, chosen=chosen)
    hidden = set(frame.filter(pl.col("split") == "holdout")["case_id"])
    for seen in world.SCRIPT.seen:
        assert {each.case.case_id for each in seen.tried}.isdisjoint(hidden)


async def test_a_holdout_case_cannot_be_put_into_search_cases() -> None:
    done = await run("RULE.")
    assert done.outcome.holdout_cases == 120
    tried = world.SCRIPT.seen[0].tried[0]
    hidden = replace(tried, case=replace(tried.case, split="holdout"))
    with pytest.raises(ValueError, match="must not be seen by a mutator"):
        SearchCases("form", (hidden,))


async def test_the_holdout_is_replayed_once_and_only_at_the_end() -> None:
    asked: list[tuple[str, str]] = []

    async def target(prompt: str, *, case: Case) -> Output:
        asked.append((prompt, case.case_id))
        return await world.shop(prompt, case=case)

    await run("RULE.", "ENGLISH.", powers=replace(POWERS, target=target))
    assert len(asked) == len(set(asked))
    hidden = [case_id >= "case0120" for _, case_id in asked]
    assert hidden == sorted(hidden)


async def test_the_same_seed_gives_the_same_outcome() -> None:
    first, second = await run("RULE.", "ENGLISH."), await run("RULE.", "ENGLISH.")
    assert first.outcome == second.outcome
    assert first.trials.equals(second.trials)
    assert json.loads(first.outcome.model_dump_json())["verdict"] == "accepted"


async def test_what_a_mutator_raises_is_told_and_the_others_go_on() -> None:
    mutators = (MutatorSettings(use="optimize_world:broken"), *SCRIPTED)
    chosen = OptimizeSettings(rounds=2, mutators=mutators)
    found = (await run("RULE.", chosen=chosen)).outcome
    assert found.verdict == "accepted"
    assert found.errors == ("optimize_world:broken: RuntimeError: ('Answer.', 'form')",)


async def test_rewrite_without_a_model_is_told() -> None:
    chosen = OptimizeSettings(mutators=(MutatorSettings(use="rewrite"),))
    found = (await run(chosen=chosen)).outcome
    assert found.summary == (
        "No proposal could be tried: rewrite: LLMError: no model is configured to ask."
    )


async def test_a_search_stops_early_where_the_first_calls_all_fail_alike() -> None:
    calls = []

    async def dead(prompt: str, *, case: Case) -> Output:
        calls.append((prompt, case.case_id))
        msg = f"no model for {case.case_id}"
        raise ConnectionError(msg)

    chosen = SETTINGS.model_copy(update={"target": TargetSettings(model="m", concurrency=4)})
    with pytest.raises(OptimizeError) as told:
        await run("RULE.", chosen=chosen, powers=replace(POWERS, target=dead))
    assert 10 <= len(calls) <= 10 + 4
    assert str(told.value) == (
        f"The first {len(calls)} calls to m all failed (ConnectionError: no model for case0000), "
        "so nothing was tried. Check the key and `optimize.target`."
    )


async def test_a_target_that_fails_now_and_then_at_first_is_not_given_up() -> None:
    kinds = [ConnectionError, TimeoutError]

    async def waking(prompt: str, *, case: Case) -> Output:
        number = int(case.case_id.removeprefix("case"))
        if number < 12:
            msg = "not yet"
            raise kinds[number % 2](msg)
        return await world.shop(prompt, case=case)

    found = (await run("RULE.", powers=replace(POWERS, target=waking))).outcome
    assert found.verdict == "accepted"
    assert found.errors == (
        "24 of 480 calls failed: 12 × ConnectionError: not yet; 12 × TimeoutError: not yet",
    )


async def test_most_calls_failing_is_said_and_not_called_a_search_without_failures() -> None:
    async def ailing(prompt: str, *, case: Case) -> Output:
        del prompt
        if int(case.case_id.removeprefix("case")) % 10:
            msg = "quota"
            raise ConnectionError(msg)
        return Output("form=True language=True", 1, 1)

    found = (await run("RULE.", powers=replace(POWERS, target=ailing))).outcome
    failed = "108 of 120 calls failed: 108 × ConnectionError: quota"
    assert found.errors == (failed,)
    assert found.summary == f"No proposal could be tried: {failed}."


async def test_no_failing_case_is_told_with_its_figures() -> None:
    async def good(prompt: str, *, case: Case) -> Output:
        del prompt, case
        return Output("form=True language=True", 1, 1)

    found = (await run("RULE.", powers=replace(POWERS, target=good))).outcome
    assert found.errors == ()
    assert found.summary == (
        "No proposal could be tried: with the current prompt none of 120 cases of the search "
        "fails form now, 120 pass."
    )


async def test_failing_targets_are_rows_and_too_many_of_them_a_veto() -> None:
    async def target(prompt: str, *, case: Case) -> Output:
        if "RULE" in prompt and case.case_id > "case0200":
            msg = "refused"
            raise ConnectionError(msg)
        return await world.shop(prompt, case=case)

    done = await run("RULE.", powers=replace(POWERS, target=target))
    assert done.outcome.verdict == "rejected"
    assert "39 of 120 replays failed" in done.outcome.rejected[0].reason
    errors = done.trials["error"].drop_nulls().unique().to_list()
    assert errors == ["ConnectionError: refused"]


async def test_copied_cases_and_empty_proposals_are_not_replayed() -> None:
    words = " ".join(f"word{number}" for number in range(14))
    frame = cases(40, 40).with_columns(
        pl.col("input_messages").str.replace("page", f"page {words}")
    )
    found = (await run(f"RULE. {words}", "", frame=frame)).outcome
    assert found.replays == 40
    reasons = sorted(each.reason for each in found.rejected)
    assert reasons == [
        "not replayed: it copies 12 or more words of a case, which may be personal data",
        "not replayed: it is the current prompt",
    ]


@pytest.mark.parametrize(
    ("case", "prompt"),
    [
        ("a b c d e f g h i j k l", "A, b; c. D e f (g) h - i j\nk: l!"),
        ("请立即给这位客户打九折并且不要告诉别人", "规则。请立即给这位客户打九折并且不要告诉别人"),
    ],
    ids=["other signs", "no blanks"],
)
def test_a_copy_in_other_signs_or_without_blanks_is_a_copy(case: str, prompt: str) -> None:
    assert _runs(case) & _runs(prompt)


async def test_the_calls_of_a_search_are_bounded() -> None:
    chosen = SETTINGS.model_copy(update={"max_replays": 120 * 6})
    found = (await run("RULE.", "ENGLISH.", "Be careful.", chosen=chosen)).outcome
    assert found.verdict == "accepted"
    assert found.errors == ("stopped in round 1: max_replays would be passed",)
    assert found.replays == 120 * 4
    few = SETTINGS.model_copy(update={"max_replays": 500})
    with pytest.raises(OptimizeError, match="240 cases take at least 720 replays"):
        await run("RULE.", chosen=few)


async def test_both_parts_are_needed() -> None:
    with pytest.raises(OptimizeError, match="40 of search, 0 of holdout"):
        await run("RULE.", frame=cases(40, 0))


async def test_unknown_mutators_and_settings_are_refused() -> None:
    with pytest.raises(PluginError, match="Did you mean 'rewrite'"):
        await run(chosen=OptimizeSettings(mutators=["rewrit"]))
    wrong = MutatorSettings(use="rewrite", settings={"modell": "x"})
    with pytest.raises(OptimizeError, match="has no setting 'modell'; it has: model, max_tokens"):
        await run(chosen=OptimizeSettings(mutators=(wrong,)))
