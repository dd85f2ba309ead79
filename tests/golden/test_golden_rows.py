"""Captured requests come out as the rows that were agreed on (`make golden` rewrites them)."""

import pytest
from rewrite import ROWS, rows


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    return {path.name: text for path, text in rows().items()}


def test_each_dialect_has_rows(found: dict[str, str]) -> None:
    assert sorted(found) == sorted(path.name for path in ROWS.glob("*.jsonl"))


@pytest.mark.parametrize("name", sorted(path.name for path in ROWS.glob("*.jsonl")))
def test_rows_are_as_agreed(name: str, found: dict[str, str]) -> None:
    agreed = (ROWS / name).read_text(encoding="utf-8").splitlines()
    assert found[name].splitlines() == agreed
