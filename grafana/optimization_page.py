"""Optimization: which prompts were tried, with what proof, and why they were taken or not."""  # noqa: INP001 - scripts

import queries as ask
from panels import REGRESSION, REPORT, TRACES, Panel, Section, Words, counted, found, lines

EVENT = "evalspan.optimization"
CHOSEN = ('evalspan_check=~"$check"', 'evalspan_view=~"$view"')
NONE = "No search for a better prompt has been reported to Loki: `evalspan optimize` starts one."


def optimization() -> list[Section]:
    """Return the rows of the page."""
    return [
        ("Experiments", [*_numbers(), _experiments(), _rejected()]),
        ("Diffs: what was changed?", [_diffs()]),
    ]


def _numbers() -> list[Panel]:
    base = f'{{service_name="evalspan"}} | event_name="{EVENT}" | ' + " | ".join(CHOSEN)
    found_ = f"sum(count_over_time({base} [$__range])) or vector(0)"
    proven = f'sum(count_over_time({base} | evalspan_verdict="accepted" [$__range])) or vector(0)'
    spent = f'{base} | json usd="spent_cost_usd" | usd!="" | unwrap usd | __error__=""'
    cases = f'{base} | json cases="holdout_cases" | unwrap cases | __error__=""'
    return [
        counted(
            Words("Searches", "Searches for a better prompt that were reported, in this range."),
            found_,
            width=6,
        ),
        counted(
            Words("Proven", "Of these, how many ended with a prompt that was proven to be better."),
            proven,
            width=6,
        ),
        counted(
            Words(
                "Cases of proof",
                "Cases of production that no search had seen, on which the proofs stand in all.",
                missing=NONE,
            ),
            f"sum(sum_over_time({cases} [$__range]))",
            width=6,
        ),
        counted(
            Words(
                "Cost of the searches",
                "US dollars that replays and rewriting have cost, where prices are known.",
                "currencyUSD",
                "No price is known for the models that were asked.",
            ),
            f"sum(sum_over_time({spent} [$__range])) or vector(0)",
            width=6,
        ),
    ]


def _experiments() -> Panel:
    check = "accepted.judgement.checks[0]"
    fields = {
        "id": "regression_id",
        "verdict": "verdict",
        "summary": "summary",
        "before": f"{check}.before",
        "after": f"{check}.after",
        "difference": f"{check}.difference",
        "low": f"{check}.low",
        "high": f"{check}.high",
        "cases": f"{check}.n",
        "worse": "worse",
        "proposals": "proposals",
        "report": "report_url",
    }
    return found(
        Words(
            "Experiments",
            "Each row is a search: the pass rate on cases that it never saw, before and after, "
            "the difference with its 95% interval, cases that got worse, and the verdict. The "
            "report has the diff side by side. Empty rates: nothing was accepted.",
            missing=NONE,
        ),
        ask.records(EVENT, fields, *CHOSEN),
        {
            "evalspan_check": "check",
            "verdict": "verdict",
            "before": "before",
            "after": "after",
            "difference": "difference",
            "low": "at least",
            "high": "at most",
            "cases": "cases",
            "worse": "got worse",
            "proposals": "tried",
            "summary": "summary",
            "id": "id",
            "report": "diff and report",
        },
        units={
            **dict.fromkeys(
                ("before", "after", "difference", "at least", "at most"), "percentunit"
            ),
            **dict.fromkeys(("cases", "got worse", "tried"), "short"),
        },
        links={"id": (REGRESSION,), "diff and report": (REPORT,)},
    )


def _rejected() -> Panel:
    fields = {
        "summary": "summary",
        "count": "rejected_count",
        "mutator": "rejected[0].mutator",
        "reason": "rejected[0].reason",
        "error": "errors[0]",
    }
    return found(
        Words(
            "Accepted or not, and why",
            "What came of each search in words, how many proposals were not accepted, and the "
            "reason of the first of them; an error where the search itself broke.",
            missing=NONE,
        ),
        ask.records(EVENT, fields, *CHOSEN),
        {
            "evalspan_check": "check",
            "evalspan_verdict": "verdict",
            "summary": "because",
            "count": "not accepted",
            "mutator": "first of them",
            "reason": "why not",
            "error": "error",
            "trace_id": "example",
        },
        units={"not accepted": "short"},
        links={"example": TRACES},
    )


def _diffs() -> Panel:
    fields = {"title": "title", "why": "accepted.rationale", "diff": "accepted.diff"}
    shown = 'line_format "{{.title}} {{.why}}\\n{{.diff}}"'
    return lines(
        Words(
            "Accepted changes of prompts",
            "The diff of each accepted proposal, newest first: lines with + are new, those with - "
            "are gone. Nothing is deployed unasked.",
            missing=NONE,
        ),
        ask.records(EVENT, fields, *CHOSEN, shown),
    )
