"""Keep every label within its budget of values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import polars as pl

OTHER = "__other__"
# A longer value is cut: it would stand on every series that has the label.
LONGEST: Final = 200


class Budgets:
    """First come, first served: a value over the budget of its label becomes `__other__`.

    A place is given to the next value that asks when nothing is shown of its value any
    more. A label without a budget is bounded by what writes it and passes.
    """

    def __init__(self, budgets: Mapping[str, int]) -> None:
        """Keep label → most values."""
        self._budgets = dict(budgets)
        self._known: dict[str, set[str]] = {name: set() for name in budgets}
        self._reserved: dict[str, set[str]] = {name: set() for name in budgets}
        self.overflow: dict[str, int] = {}

    def __contains__(self, label: str) -> bool:
        """Whether the label has a budget."""
        return label in self._budgets

    def reserve(self, label: str, value: str) -> None:
        """Give a value a place of the budget that it keeps, shown or not."""
        text = value[:LONGEST]
        self._reserved[label].add(text)
        self._known[label].add(text)

    def admit(self, label: str, value: str | None, rows: int = 1) -> str:
        """Return the value to show for one that `rows` rows have, which takes a place."""
        text = self.look(label, value, rows)
        self.take(label, text)
        return text

    def look(self, label: str, value: str | None, rows: int) -> str:
        """Return the value to show for one that `rows` rows have, if it is to be shown."""
        text = (value or "")[:LONGEST]
        known = self._known.get(label)
        if known is None or text in known or text in ("", OTHER):
            return text
        if len(known) < self._budgets[label]:
            return text
        self.overflow[label] = self.overflow.get(label, 0) + rows
        return OTHER

    def take(self, label: str, text: str) -> None:
        """Give a place to a value that was looked for and is shown now."""
        if label in self._budgets and text not in ("", OTHER):
            self._known[label].add(text)

    def within(self, rows: pl.DataFrame, labels: Iterable[str]) -> pl.DataFrame:
        """Return the rows with `__other__` for what has no place in a budget that is full.

        Thousands of values become few label sets before each of those is looked at.
        """
        for label in labels:
            known = self._known.get(label, ())
            if not known or len(known) < self._budgets[label]:
                continue
            texts = rows[label].cast(pl.String).str.slice(0, LONGEST)
            over = ~texts.is_in([*known, "", OTHER])
            if count := int(over.sum()):
                self.overflow[label] = self.overflow.get(label, 0) + count
                shown = pl.when(over).then(pl.lit(OTHER)).otherwise(texts)
                rows = rows.with_columns(shown.alias(label))
        return rows

    def keep(self, shown: Iterable[tuple[Sequence[str], Iterable[Sequence[str]]]]) -> None:
        """Free the places of all values but the reserved ones and those that are `shown`.

        `shown`: per metric the names of its labels, and the labels of each of its series.
        """
        kept = {label: set(values) for label, values in self._reserved.items()}
        for names, series in shown:
            chosen = [(place, kept[name]) for place, name in enumerate(names) if name in kept]
            for labels in series:
                for place, values in chosen:
                    values.add(labels[place])
        for label, values in kept.items():
            self._known[label].intersection_update(values)
