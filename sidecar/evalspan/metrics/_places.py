"""Keep every metric within its budget of time series, whatever its labels multiply to."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from evalspan.metrics._declared import SUBJECT
from evalspan.metrics._labels import OTHER, Budgets
from evalspan.metrics._series import Labels

# Time series of one metric: Prometheus bears millions in all, of hundreds of targets.
MOST_SERIES: Final = 10_000
# A series counts once more for each so many bytes of its labels.
_LABEL_BYTES: Final = 256


class Places:
    """The label sets that one metric may show: first come, first served, as values are.

    A label set costs the time series it is shown as, more if its labels are long. One that
    has no place any more is shown with `__other__` for every label but those that say what
    was counted (SUBJECT), so that sums stay right.
    """

    def __init__(
        self, names: Labels, budgets: Budgets, most: int, series: Callable[[Labels], int]
    ) -> None:
        """Hold label sets of these names; `series` says how many time series one is shown as."""
        self._names = names
        self._budgets = budgets
        self._most = most
        self._series = series
        self._costs: dict[Labels, int] = {}
        self._taken = 0
        # The verdicts of a label set share its place.
        self._apart = names.index("verdict") if "verdict" in names else len(names)
        self._budgeted = [(n, name) for n, name in enumerate(names) if name in budgets]
        self._told = [name in SUBJECT for name in names]
        self.overflow = 0

    def admit(self, values: Sequence[str | None], rows: int) -> Labels:
        """Return the labels to show for values that `rows` rows have; None is no value."""
        look = self._budgets.look
        labels = tuple([look(n, v, rows) for n, v in zip(self._names, values, strict=True)])
        place = self._place(labels)
        if place in self._costs:
            return labels
        cost = self._cost(place)
        if self._taken + cost > self._most:
            self.overflow += rows
            labels = self._overflowing(labels)
        else:
            self._costs[place] = cost
            self._taken += cost
        for number, name in self._budgeted:
            self._budgets.take(name, labels[number])
        return labels

    def _overflowing(self, labels: Labels) -> Labels:
        named = zip(self._told, labels, strict=True)
        return tuple([label if told else OTHER for told, label in named])

    def keep(self, shown: Iterable[Labels]) -> None:
        """Free the places of all label sets but those that are `shown`."""
        places = {self._place(labels) for labels in shown}
        self._costs = {place: cost for place, cost in self._costs.items() if place in places}
        self._taken = sum(self._costs.values())

    def _place(self, labels: Labels) -> Labels:
        return (*labels[: self._apart], *labels[self._apart + 1 :])

    def _cost(self, place: Labels) -> int:
        return self._series(place) * (1 + len("".join(place).encode()) // _LABEL_BYTES)
