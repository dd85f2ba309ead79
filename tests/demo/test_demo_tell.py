"""What the demo prints: intervals that hold their estimate, and points that say what they are."""

import io

from rich.console import Console

from evalspan import stats
from evalspan.demo._tell import Teller


def said(passed: int, n: int) -> str:
    found = stats.wilson_interval(passed, n)
    row = {"check": "cost", "item": "", "n": n, "pass_rate": found.estimate}
    row |= {"low": found.low, "high": found.high}
    text = io.StringIO()
    teller = Teller(Console(file=text))
    teller.scores([row | {"prompt_version": version} for version in ("v1", "v2")])
    return text.getvalue()


def test_an_interval_has_the_digits_of_its_estimate() -> None:
    assert "100.0 % [99.6, 100.0]" in said(970, 970)
    assert "97.5 % [91.3, 99.3]" in said(78, 80)


def test_points_beside_rates_say_that_they_are_within_like_traffic() -> None:
    text = io.StringIO()
    title = "customer=globex fell: 97.5 % → 60.0 %, −37.6 points [−49.0, −26.1] (80 verdicts)"
    finding = {"rank": 1, "title": title, "share": None, "exemplars": [], "prompt_diff": None}
    Teller(Console(file=text)).causes([finding, finding | {"rank": 2}])
    assert text.getvalue().count("within like traffic") == 1
