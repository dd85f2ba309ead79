"""Keep every label within its budget of values."""

from collections.abc import Mapping
from typing import Final

OTHER = "__other__"
# A longer value is cut: it would stand on every series that has the label.
LONGEST: Final = 200


class Budgets:
    """First come, first served: a value over the budget of its label becomes `__other__`.

    A label without a budget is bounded by what writes it and passes.
    """

    def __init__(self, budgets: Mapping[str, int]) -> None:
        """Keep label → most values."""
        self._budgets = dict(budgets)
        self._known: dict[str, set[str]] = {name: set() for name in budgets}
        self.overflow: dict[str, int] = {}

    def admit(self, label: str, value: str | None, rows: int = 1) -> str:
        """Return the value to show for one that `rows` rows have."""
        text = (value or "")[:LONGEST]
        budget = self._budgets.get(label)
        if budget is None or not text:
            return text
        known = self._known[label]
        if text in known:
            return text
        if len(known) < budget:
            known.add(text)
            return text
        self.overflow[label] = self.overflow.get(label, 0) + rows
        return OTHER
