"""What the throughput benchmark makes of several runs."""

from evalspan.bench.throughput import Figures, least


def run(cpu: float, peak: int, *, balanced: bool = True) -> Figures:
    return {
        "cpu_us_per_span": cpu,
        "cpu_us_per_span_pipeline": cpu - 4,
        "peak_mb": peak,
        "peak_mb_pipeline": peak - 200,
        "ledger_balanced": int(balanced),
    }


def test_cpu_is_of_the_run_that_took_least_and_memory_of_the_one_that_took_most() -> None:
    assert least([run(44, 900), run(39, 950), run(41, 1000)]) == {
        "cpu_us_per_span": 39,
        "cpu_us_per_span_pipeline": 35,
        "cpu_us_per_span_median": 41,
        "cpu_us_per_span_most": 44,
        "peak_mb": 1000,
        "peak_mb_pipeline": 800,
        "ledger_balanced": 1,
    }


def test_one_run_that_lost_a_span_is_seen() -> None:
    assert least([run(39, 900), run(44, 900, balanced=False)])["ledger_balanced"] == 0
