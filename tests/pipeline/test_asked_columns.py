"""What a check, its condition or a checklist's names of a span is there when it settles."""

from pathlib import Path

import pytest

from evalspan import pipeline, testing, wal
from evalspan.model import LEDGER, SCORES

OWN = """
def resource_of(span):
    return {"region": "eu" in span.resource, "app": span.attributes["app.plan"] == "pro"}
"""
CONFIG = """
data: {data}
checks:
  {check}
checklists:
  tone:
    match: "{of_checklist}"
    questions: {{polite: 'Is the answer polite?'}}
"""


@pytest.mark.parametrize(
    ("check", "done", "items"),
    [
        ("latency: {max_ms: 9000}", 1, 1),
        ("latency: {max_ms: 9000, match: \"resource LIKE '%eu-west%'\"}", 1, 1),
        ("latency: {max_ms: 9000, match: \"input_messages LIKE '%Moon%'\"}", 1, 1),
        ("latency: {max_ms: 9000, match: \"scope LIKE '%no such%'\"}", 0, 0),
        ("mine: {use: 'own:resource_of'}", 1, 2),
    ],
)
@pytest.mark.parametrize(
    ("of_checklist", "expected"),
    [("role = 'llm'", 1), ("output_messages LIKE '%Luna%'", 1), ("promoted IS NULL", 0)],
)
def test_it_is_there(
    tmp_path: Path, check: str, done: int, items: int, of_checklist: str, expected: int
) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    file = tmp_path / "evalspan.yaml"
    file.write_text(
        CONFIG.format(data=tmp_path, check=check, of_checklist=of_checklist), encoding="utf-8"
    )
    settings = pipeline.load_settings(file)
    call = testing.span(user="Name the Moon.", output="Luna.", attributes={"app.plan": "pro"})
    request = testing.request(call, resource={"cloud.region": "eu-west-1"})
    writer = wal.Writer(settings.log_folder, settings.wal)
    writer.append("traces", request.SerializeToString()).result()
    writer.close()
    tables, evaluator = pipeline.store_of(settings), pipeline.evaluator_of(settings)
    try:
        write = pipeline.write_side_of(settings, tables, evaluator)
        write.step(write.waiting()[0], flush=True)
    finally:
        evaluator.close()

    name = check.split(":", maxsplit=1)[0]
    ledger = {
        tuple(row[:3]): row[3]
        for row in tables.scan(LEDGER)
        .select("subject", "outcome", "reason", "count")
        .collect()
        .rows()
    }
    assert ledger.get((f"check:{name}", "done", ""), 0) == done
    assert (f"check:{name}", "error", "") not in ledger
    filtered = ledger.get(("check:tone", "skipped", "filter"), 0)
    assert ledger["check:tone", "expected", ""] - filtered == expected
    if items:
        scores = tables.scan(SCORES).filter(check=name).select("verdict", "error").collect()
        assert scores.rows() == [("pass", None)] * items
