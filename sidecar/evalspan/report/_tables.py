"""Tables: on a phone each row is a card, with the names of the columns beside the values."""

from collections.abc import Sequence

from evalspan.report._markup import Child, Markup, el


def table(names: Sequence[str], rows: Sequence[Sequence[Child]], kind: str) -> Markup | None:
    """Return a table with a head; nothing where there are no rows.

    `kind` is a class of the style sheet. A cell is a plain text or markup.
    """
    if not rows:
        return None
    head = el("tr", *(el("th", name, scope="col") for name in names), class_="head")
    body = [
        el("tr", *(el("td", cell, data_name=name) for name, cell in zip(names, row, strict=True)))
        for row in rows
    ]
    return el("div", el("table", head, *body, class_=f"cards {kind}"), class_="scroll")
