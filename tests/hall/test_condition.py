"""Conditions: what works, and what is refused at start with which words."""

import polars as pl
import pytest

from evalspan.condition import ConditionError, compile_condition
from evalspan.evaluate._frame import schema

COLUMNS = schema(["customer"])
ROWS = pl.DataFrame(
    {
        "role": ["llm", "tool", None],
        "duration_ms": [5.0, 50.0, None],
        "customer": ["acme", None, "globex"],
        "finish_reasons": [["stop"], [], None],
        "stream": [True, False, None],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("role = 'llm'", [True, False, None]),
        ("role = 'llm' -- only calls", [True, False, None]),
        ("customer IN ('acme', 'globex')", [True, None, True]),
        ("customer LIKE 'ac%' OR duration_ms > 10", [True, True, None]),
        ("role IS NOT NULL AND customer IS NULL", [False, True, False]),
        ("coalesce(stream, true)", [True, False, True]),
        ("case when duration_ms > 10 then true else false end", [False, True, False]),
        ("array_contains(finish_reasons, 'stop')", [True, False, None]),
        ("regexp_like(customer, '^g')", [False, None, True]),
        ("length(role) BETWEEN 4 AND 5", [False, True, None]),
        ("role = 'SELECT'", [False, False, None]),
    ],
)
def test_a_condition_is_asked_of_each_span(text: str, rows: list[bool | None]) -> None:
    assert ROWS.select(answer=compile_condition(text, COLUMNS))["answer"].to_list() == rows


def test_a_condition_without_a_column_holds_for_all() -> None:
    expression = compile_condition("true", COLUMNS)
    assert ROWS.with_columns(answer=expression)["answer"].to_list() == [True] * 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no SQL condition"),
        ("role = ", "no SQL condition"),
        ("role = 'llm'; drop table spans", "no SQL condition"),
        ("rolle = 'llm'", "no column 'rolle'. Did you mean 'role'?"),
        ("custommer = 'acme'", "Did you mean 'customer'?"),
        ("role", "must give true or false, but gives String"),
        ("duration_ms + 1", "must give true or false, but gives Float64"),
        ("duration_ms = 'fast'", "cannot be computed"),
        ("start_time > 'now'", "cannot be computed"),
        ("max(duration_ms) > 3", "an aggregate is not possible"),
        ("duration_ms > avg(duration_ms)", "an aggregate is not possible"),
        ("count(*) > 1", "an aggregate is not possible"),
        ("first(role) = 'llm'", "an aggregate is not possible"),
        ("row_number() over (order by role) > 1", "is not possible"),
        ("lag(role) over (order by role) = 'llm'", "is not possible"),
        ("sum(duration_ms) over (partition by role) > 3", "is not possible"),
        ("role in (select role from spans)", "a sub-query is not possible"),
        ("duration_ms > (select 1)", "a sub-query is not possible"),
        ("exists (select 1)", "a sub-query is not possible"),
        ("unnest(finish_reasons) = 'stop'", "several rows of one is not possible"),
        ("columns('role')", "several columns is not possible"),
        ("quantile_cont(duration_ms, 0.5) > 1", "not possible"),
    ],
)
def test_what_is_no_condition_on_one_span_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConditionError) as refused:
        compile_condition(text, COLUMNS)
    assert problem in str(refused.value)


def test_the_words_of_an_error_are_those_of_the_table_it_is_asked_of() -> None:
    with pytest.raises(ConditionError) as unknown:
        compile_condition("customr = 'a'", COLUMNS, row="score", table="SCORES")
    assert "a score has no column 'customr'. Did you mean 'customer'?" in str(unknown.value)
    assert "those of SCORES" in str(unknown.value)
    with pytest.raises(ConditionError, match="asked of one score at a time"):
        compile_condition("count(*) > 1", COLUMNS, row="score", table="SCORES")
