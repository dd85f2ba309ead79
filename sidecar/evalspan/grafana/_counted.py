"""How much was counted within a window, first counts included, and no count of long ago."""

from typing import Final

# On every page that a sidecar answers with: as many samples as there were good scrapes.
_ALWAYS_THERE: Final = "evalspan_build_info"


def counted_within(series: str, window: str, by: str) -> str:
    """Return PromQL: what the counters `series` counted over the window, summed per `by`.

    `increase` sees nothing before the first sample of a series: the first failure of a
    customer, or all verdicts of a new prompt version, would not count. A series that a sidecar
    has answered without (see `first_seen`), also in the hour before the window, counts with
    its value now. One that began again at 0 has counted more than that: of it, `increase`
    knows all but what the first sample had. The highest value is no way out: where Prometheus
    is new too, a life's count may stand before the new start.
    """
    first = (
        f"({first_seen(series, window)}) unless last_over_time({series}[1h] offset {window})"
        f" unless resets({series}[{window}]) > 0"
    )
    return f"sum by ({by}) (({first}) or increase({series}[{window}]))"


def first_seen(series: str, window: str) -> str:
    """Return PromQL: those of the counters `series` that were at 0 within the window.

    A first sample says only when Prometheus saw the counter first. It was at 0 where the same
    sidecar answered without it: it has fewer samples than the sidecar answered scrapes. Where
    Prometheus is new, or the sidecar was out of its reach, there is no such answer; nor where
    a relabelling drops `evalspan_build_info`, `job` or `instance`, and there is no such series.
    Of sidecars with the same `job` and `instance` the one that answered least is asked.

    In two cases the answer without it is no proof, and a count of long ago is taken for a new
    one: `metric_relabel_configs` begin to rename or label these series and not
    `evalspan_build_info`, and a series was off the page for a while and came back. In
    `counted_within` the second takes an hour more than the window.
    """
    answered = (
        f"min by (job, instance) (sum without (version) "
        f"(count_over_time({_ALWAYS_THERE}[{window}])))"
    )
    samples = f"count_over_time({series}[{window}])"
    return f"{series} and {samples} < on (job, instance) group_left () {answered}"
