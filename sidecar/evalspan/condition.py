"""Conditions: Polars SQL over one row of a table, checked before anything is read.

A check's `match` is asked of a span, a view's `filter` of a score.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

import polars as pl

# Parts of an expression that look at more than the row they are in.
_FORBIDDEN: Final = {
    "SubPlan": "a sub-query",
    "Agg": "an aggregate",
    "Len": "an aggregate",
    "Over": "a window function",
    "Window": "a window function",
    "Rolling": "a window function",
    "Explode": "a function that makes several rows of one",
    "Selector": "a choice of several columns",
}


class ConditionError(ValueError):
    """A condition that cannot be used; says why and what to do."""


def compile_condition(
    text: str, columns: Mapping[str, pl.DataType], *, row: str = "span", table: str = "SPANS"
) -> pl.Expr:
    """Return the expression, which gives one Boolean per row; raises ConditionError.

    `columns`: those that it may name, with their types. `row` and `table` are the words of
    an error for what it is asked of and where the columns are described.
    """
    try:
        expression = pl.sql_expr(text)
    except Exception as error:
        if "select" in text.lower():
            raise ConditionError(_refuse("a sub-query", row)) from error
        msg = f"this is no SQL condition: {error}"
        raise ConditionError(msg) from error
    parts = _parts(json.loads(expression.meta.serialize(format="json")))
    for part, what in _FORBIDDEN.items():
        if part in parts:
            raise ConditionError(_refuse(what, row))
    _check_columns(expression, columns, row, table)
    _check_by_running(expression, columns, row)
    return expression


def _refuse(what: str, row: str) -> str:
    return f"{what} is not possible here: the condition is asked of one {row} at a time"


def _parts(node: Any) -> set[str]:  # noqa: ANN401 - JSON
    """Return the names of all nodes of a serialized expression."""
    if isinstance(node, str):
        return {node} if node == "Len" else set()
    if isinstance(node, list):
        return set().union(*(_parts(n) for n in node if not isinstance(n, int | float)))
    if isinstance(node, dict):
        below = (_parts(value) for name, value in node.items() if name not in {"Literal", "Column"})
        return set(node).union(*below)
    return set()


def _check_columns(
    expression: pl.Expr, columns: Mapping[str, pl.DataType], row: str, table: str
) -> None:
    for name in expression.meta.root_names():
        if name not in columns:
            near = get_close_matches(name, list(columns), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            msg = (
                f"a {row} has no column {name!r}.{hint} Columns are those of {table} and the "
                "dimensions of this file."
            )
            raise ConditionError(msg)


def _check_by_running(expression: pl.Expr, columns: Mapping[str, pl.DataType], row: str) -> None:
    """Run it over an empty row and a filled one, together and apart: the answers must agree."""
    used = {name: columns[name] for name in expression.meta.root_names()} or {"any": pl.String()}
    rows = pl.DataFrame({name: [None, _example(kind)] for name, kind in used.items()}, schema=used)
    try:
        whole = rows.with_columns(expression.alias("answer"))["answer"]
        apart = [rows[i].with_columns(expression.alias("answer"))["answer"] for i in (0, 1)]
    except Exception as error:
        problem = str(error).split("\n", maxsplit=1)[0]
        msg = f"it cannot be computed for a {row}: {problem}"
        raise ConditionError(msg) from error
    if whole.dtype not in {pl.Boolean, pl.Null}:
        msg = f"it must give true or false, but gives {whole.dtype}"
        raise ConditionError(msg)
    if whole.to_list() != [*apart[0].to_list(), *apart[1].to_list()]:
        raise ConditionError(_refuse(f"a function over several {row}s", row))


def _example(kind: pl.DataType) -> object:
    if isinstance(kind, pl.List):
        return [_example(kind.inner)] if isinstance(kind.inner, pl.DataType) else []
    if isinstance(kind, pl.Struct):
        return None
    if kind == pl.Boolean:
        return True
    if kind.is_numeric():
        return 1
    return "1" if kind == pl.String else None
