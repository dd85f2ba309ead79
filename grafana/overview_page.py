"""Overview: how good, how fast, how dear, and is it the machine? On one axis of time."""  # noqa: INP001 - scripts

import queries as ask
from grafana_foundation_sdk.builders import table
from infra import machines
from panels import (
    FINE,
    NONE_IS_FINE,
    PROMPT,
    REGRESSION,
    SHARE,
    Query,
    Section,
    Words,
    number,
    rows,
    series,
)

TARGET = Query("vector($target)", "target")


def overview() -> list[Section]:
    """Return the rows of the page."""
    return [_now(), _scores(), _calls(), machines()]


def _now() -> Section:
    passed, decided = ask.verdicts("check", "pass"), ask.verdicts("check")
    return "Now", [
        number(
            Words(
                "Pass rate",
                "Share of verdicts that passed, over the chosen checks and window. Read it with "
                "the number of verdicts beside it.",
                "percentunit",
                steps=SHARE,
            ),
            Query(f"sum({passed}) / (sum({decided}) > 0)", "pass rate"),
        ),
        number(
            Words(
                "Verdicts",
                "How many verdicts (pass or fail) the pass rate stands on, over the window.",
            ),
            Query(f"sum({decided})", "verdicts"),
        ),
        number(
            Words(
                "Regressions open",
                "Comparisons in which the newer side is proven worse: a check, a slice and a "
                "version or time each. Every one has a report.",
                steps=NONE_IS_FINE,
            ),
            Query('sum(evalspan_regression_open{direction="regression"}) or vector(0)', "open"),
        ),
        number(
            Words(
                "Model calls", "Calls to language models per second, each counted once.", "reqps"
            ),
            Query(f"sum({ask.rate(f'{ask.DURATION}_count', ask.CALLS, 'service_name')})", "calls"),
        ),
        number(
            Words(
                "Failing calls",
                "Share of model calls that ended with an error, the worst service.",
                "percentunit",
                steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
            ),
            Query(f"max({ask.errors()})", "errors"),
        ),
        number(
            Words("Cost", "US dollars spent on model calls over the window.", "currencyUSD"),
            Query(f"sum({ask.increase('evalspan_cost_usd_total', ask.PROMPTS, 'service')})"),
        ),
    ]


def _scores() -> Section:
    return "Quality: are the answers good?", [
        series(
            Words(
                "Pass rate per prompt and version",
                "Share of verdicts that passed, with the target. A drop that starts with a new "
                "version, at a mark of a deployment, points at the change of the prompt.",
                "percentunit",
                steps=FINE,
            ),
            Query(
                ask.pass_rate("prompt, prompt_version"),
                "{{prompt}} {{prompt_version}}",
                exemplars=True,
            ),
            TARGET,
            share=True,
            links=(PROMPT,),
        ),
        series(
            Words(
                "Pass rate per check",
                "The same per check, over the window behind each point. Dots are example traces "
                "of failed verdicts.",
                "percentunit",
            ),
            Query(ask.pass_rate("check"), "{{check}}", exemplars=True),
            TARGET,
            share=True,
        ),
        regressions(),
        series(
            Words(
                "The eight worst customers",
                "Pass rate per check and customer, the lowest eight now: an average hides one "
                "customer for whom everything fails.",
                "percentunit",
            ),
            Query(f"bottomk(8, {ask.pass_rate('check, customer')})", "{{check}} {{customer}}"),
            share=True,
        ),
    ]


def regressions() -> table.Panel:
    """Return the table of open regressions."""
    columns = [("before", "baseline_score"), ("now", "candidate_score"), ("difference", "effect")]
    return rows(
        Words(
            "Regressions",
            "Each row is one proven drop that is not resolved: which check, for whom (slice {} "
            "means everybody), the pass rate before and now. The difference is taken within like "
            "groups, so a change of the mix of traffic is not in it. Click the id for the why.",
            "percentunit",
            "No score has been proven to be worse.",
        ),
        [
            (Query(f"evalspan_regression_{metric}{{{ask.REGRESSIONS}}}"), title, "percentunit")
            for title, metric in columns
        ],
        hidden=("__name__", "instance", "job", "direction"),
        links={"id": (REGRESSION,)},
    )


def _calls() -> Section:
    return "Model calls: how fast and how expensive?", [
        series(
            Words(
                "Latency",
                "How long model calls take: half of them, 19 of 20, and 99 of 100 are faster than "
                "the line. Dots are example traces.",
                "s",
            ),
            *(
                Query(
                    ask.quantile(share, ask.DURATION, ask.CALLS, ask.MODEL),
                    f"p{share * 100:g} {{{{{ask.MODEL}}}}}",
                    exemplars=share == 0.95,  # noqa: PLR2004 - one line with dots is enough
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        series(
            Words(
                "Time to the first piece of the answer, 95th percentile",
                "Only streamed calls have it: what a user waits before text appears.",
                "s",
                "No call here is streamed, or the app does not say when the first piece came.",
            ),
            Query(
                ask.quantile(0.95, ask.FIRST_CHUNK, ask.CALLS, ask.MODEL),
                f"{{{{{ask.MODEL}}}}}",
                exemplars=True,
            ),
        ),
        series(
            Words("Tokens", "Tokens per second, read (input) and written (output).", "short"),
            Query(
                ask.rate(ask.TOKENS, ask.CALLS, f"gen_ai_token_type, {ask.MODEL}"),
                f"{{{{gen_ai_token_type}}}} {{{{{ask.MODEL}}}}}",
            ),
            stacked=True,
        ),
        series(
            Words(
                "Cost per hour",
                "US dollars an hour at the present pace, per prompt version and model.",
                "currencyUSD",
                "No price is known for these models: set `prices` in the config.",
            ),
            Query(
                "3600 * "
                + ask.rate("evalspan_cost_usd_total", ask.PROMPTS, "prompt, prompt_version, model"),
                "{{prompt}} {{prompt_version}} {{model}}",
            ),
            stacked=True,
        ),
        series(
            Words(
                "Calls by result",
                "Model calls per second by kind of error; a line without a name is success.",
                "reqps",
            ),
            Query(ask.rate(f"{ask.DURATION}_count", ask.CALLS, "error_type"), "{{error_type}}"),
            stacked=True,
        ),
        series(
            Words(
                "Burn of what may go wrong",
                "Share of calls in the last hour that failed, were slow, or were too dear, per "
                "objective of the config. The alerts compare it with what thirty days allow.",
                "percentunit",
                "The rules of evalspan are not loaded: see grafana/rules.",
            ),
            Query("service_slo:evalspan_bad_calls:ratio_1h", "{{slo}} {{service}}{{service_name}}"),
        ),
    ]
