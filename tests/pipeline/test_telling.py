"""Every change of state is told at least once, wherever the process dies in between."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from read_world import World
from structlog.testing import capture_logs

from evalspan import pipeline, report
from evalspan.model import REGRESSIONS
from evalspan.pipeline._report import Post, flush, outbox_of, save_report
from evalspan.pipeline._telling import Telling
from evalspan.pipeline._told import Told
from evalspan.pipeline._watch import look
from evalspan.pipeline._word import read_word
from evalspan.report._call import Sent


class Killed(BaseException):
    """Stands for a process that is gone: nothing catches it."""


@dataclass
class Sinks:
    """What a log store and a Grafana would have, in order."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def post(self, folder: Path) -> Post:
        records = report.Outbox(
            folder / "outbox", report.OtlpSettings(endpoint="localhost:1"), send=self._records
        )
        grafana = report.GrafanaSettings(url="http://localhost:1")
        return Post(
            records,
            report.Outbox(folder / "annotations", grafana, send=self._annotation, suffix="json"),
        )

    def _records(self, request: bytes, _: report.OtlpSettings) -> Sent:
        found = ExportLogsServiceRequest.FromString(request).resource_logs[0].scope_logs[0]
        self.bodies += [json.loads(record.body.string_value) for record in found.log_records]
        return Sent()

    def _annotation(self, request: bytes, _: report.GrafanaSettings) -> Sent:
        self.annotations.append(json.loads(request))
        return Sent()

    def states(self) -> list[str]:
        """States in the order in which they were told, a repeat left out."""
        told = {b["event_id"]: b["state"] for b in self.bodies if b["event"] == STATE}
        return list(told.values())


STATE = "evalspan.regression"


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("fallen"))
    world.fall()
    return world


@pytest.fixture
def settings(fallen: World, tmp_path: Path) -> pipeline.Settings:
    """The data of the world, copied: a test may write to it."""
    shutil.copytree(fallen.settings.data, tmp_path / "data")
    return pipeline.load_settings(fallen.settings.file, data=tmp_path / "data")


def side_of(settings: pipeline.Settings) -> Any:  # noqa: ANN401 - ReadSide
    return pipeline.read_side_of(settings, "prod")


def open_one(settings: pipeline.Settings, now: datetime) -> dict[str, Any]:
    """Detect, keep one regression, and return its row."""
    side = side_of(settings)
    found = side.changes(now, write=False).changed
    rows = found.filter(pl.col("state") == "open", pl.col("direction") == "regression")
    side._append(REGRESSIONS, rows.head(1))
    return rows.row(0, named=True)


def to_state(settings: pipeline.Settings, row: dict[str, Any], state: str, now: datetime) -> None:
    """Append a change of state, as detect or a person's mute does."""
    changed = {**row, "state": state, "detected_time": now, "reason": f"it is {state}"}
    frame = pl.DataFrame([changed], schema_overrides=pl.DataFrame(REGRESSIONS.empty()).schema)
    side_of(settings)._append(REGRESSIONS, frame)


def run(settings: pipeline.Settings, sinks: Sinks, now: datetime) -> None:
    """One look of a process that has just started."""
    post = sinks.post(settings.reports_folder)
    telling = Telling(settings, post)
    telling.tell(side_of(settings), now)
    telling.tell_optimizations(now)
    flush(post, now)


def test_each_change_of_state_is_told_once_and_the_page_shows_the_last(
    settings: pipeline.Settings,
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    row = open_one(settings, now)
    states = ["open", "worsening", "recovered", "open", "muted", "resolved"]
    for hour, state in enumerate(states):
        time = now + timedelta(hours=hour)
        if hour:
            to_state(settings, row, state, time)
        run(settings, sinks, time)
        run(settings, sinks, time + timedelta(minutes=1))
        (page,) = report.load_all(settings.reports_folder).reports
        assert (page.state, page.states[-1].state) == (state, state)
        assert page.findings
    assert sinks.states() == states
    assert len([b for b in sinks.bodies if b["event"] == STATE]) == len(states)
    told = [next(t for t in a["tags"] if t.startswith("state:")) for a in sinks.annotations]
    assert told == [f"state:{state}" for state in states]
    causes = [b for b in sinks.bodies if b["event"] == "evalspan.root_cause"]
    assert {b["state"] for b in causes} == {"open", "worsening"}
    assert {b["regression_id"] for b in sinks.bodies} == {row["id"]}
    assert [each.state for each in page.states] == states


def test_the_log_line_of_a_state_says_which_regression(settings: pipeline.Settings) -> None:
    row = open_one(settings, datetime.now(UTC))
    with capture_logs() as logs:
        Telling(settings).tell(side_of(settings), datetime.now(UTC))
    (line,) = [entry for entry in logs if entry["event"] == "state"]
    assert (line["id"], line["check"]) == (row["id"], row["check"])
    assert line["slice"] == row["slice"]


def test_the_report_says_what_failed_with_the_span_and_who_judged(
    settings: pipeline.Settings,
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    open_one(settings, now)
    run(settings, sinks, now)
    (page,) = report.load_all(settings.reports_folder).reports
    assert page.failures
    assert page.failures.reasons[0].words.startswith("not JSON: expected value")
    assert page.failures.count > page.failures.count_before >= 0
    assert page.regression
    assert all(each.span_id for each in page.regression.exemplars)
    scores = side_of(settings).view.scores().filter(pl.col("check") == "json_valid")
    assert page.revisions == {"json_valid": scores.collect()["revision"][0]}


POINTS: dict[str, tuple[object, str]] = {
    "before the causes are kept": (pipeline.ReadSide, "causes"),
    "before the report is saved": (report, "save"),
    "between report and outbox": (Post, "put"),
    "between outbox and note": (Told, "note"),
    "between sending and forgetting": (Path, "unlink"),
}


def killing(real: Callable[..., Any], *, after: int) -> Callable[..., Any]:
    """Do it so many times, then die instead."""
    done = 0

    def maybe(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - as the real one
        nonlocal done
        if done == after:
            raise Killed
        done += 1
        return real(*args, **more)

    return maybe


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_nothing(
    point: str, after: int, settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    row = open_one(settings, now)
    to_state(settings, row, "worsening", now + timedelta(seconds=1))
    where, name = POINTS[point]
    with monkeypatch.context() as patch:
        patch.setattr(where, name, killing(getattr(where, name), after=after))
        try:
            run(settings, sinks, now + timedelta(seconds=2))
        except Killed:
            died = True
        else:
            died = False
    assert died or (point, after) == ("before the report is saved", 1)
    later = now + timedelta(minutes=1)
    run(settings, sinks, later)
    run(settings, sinks, later)
    assert sinks.states() == ["open", "worsening"]
    told = {tuple(each["tags"]) for each in sinks.annotations}
    assert len(told) == 2
    (page,) = report.load_all(settings.reports_folder).reports
    assert page.state == "worsening"
    assert list(settings.reports_folder.glob("*/*.binpb")) == []


def outcome(now: datetime) -> dict[str, Any]:
    return {
        "experiment": "feedfeedfeedfeed", "check": "json_valid", "created_time": now,
        "verdict": "no proof", "summary": "Nothing was proven.", "accepted": None,
        "rejected": [], "better": [], "worse": [], "search_cases": 1, "holdout_cases": 1,
        "rounds": 1, "proposals": 1, "replays": 1, "errors": [], "spent_input_tokens": 1,
        "spent_output_tokens": 1, "spent_cost_usd": None,
    }  # fmt: skip


def test_a_search_is_told_once_survives_a_kill_and_stays_on_the_page(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    row = open_one(settings, now)
    side = side_of(settings)
    findings, found = side.causes(row, now), outcome(now)
    post = sinks.post(settings.reports_folder)
    with monkeypatch.context() as patch:
        patch.setattr(Post, "put_optimization", killing(Post.put_optimization, after=0))
        with pytest.raises(Killed):
            save_report(settings, side, row, findings, now, outcome=found, outbox=post)
    for minute in range(1, 4):
        run(settings, sinks, now + timedelta(minutes=minute))
    to_state(settings, row, "resolved", now + timedelta(minutes=5))
    run(settings, sinks, now + timedelta(minutes=6))
    searches = [b for b in sinks.bodies if b["event"] == "evalspan.optimization"]
    assert [each["experiment"] for each in searches] == ["feedfeedfeedfeed"]
    (page,) = report.load_all(settings.reports_folder).reports
    assert page.optimization
    assert page.state == "resolved"


def test_the_page_of_what_is_open_shows_the_figures_of_now(settings: pipeline.Settings) -> None:
    now = datetime.now(UTC)
    row = open_one(settings, now)
    side, telling = side_of(settings), Telling(settings)
    telling.tell(side, now)
    current = pl.DataFrame(
        [{**row, "candidate_n": 4321, "detected_time": now + timedelta(hours=1)}],
        schema_overrides=pl.DataFrame(REGRESSIONS.empty()).schema,
    )
    for minutes, shown in ((1, row["candidate_n"]), (11, 4321)):
        telling.refresh(side, current, now + timedelta(minutes=minutes))
        (page,) = report.load_all(settings.reports_folder).reports
        assert page.regression
        assert page.regression.rates.after_n == shown
        assert page.regression.detected_time == row["detected_time"]
        assert [each.state for each in page.states] == ["open"]


def test_the_config_says_what_is_sent_where(settings: pipeline.Settings) -> None:
    assert outbox_of(settings) is None
    grafana = report.GrafanaSettings(url="http://localhost:1/grafana/")
    with_grafana = settings.model_copy(update={"grafana": grafana})
    post = outbox_of(with_grafana)
    assert post is not None
    assert post.names == ("annotations",)
    quiet = grafana.model_copy(update={"annotations": False})
    assert outbox_of(settings.model_copy(update={"grafana": quiet})) is None
    otlp = settings.report.model_copy(update={"otlp": report.OtlpSettings(endpoint="loki:4317")})
    both = outbox_of(with_grafana.model_copy(update={"report": otlp}))
    assert both is not None
    assert both.names == ("records", "annotations")
    now = datetime.now(UTC)
    row = open_one(settings, now)
    Telling(with_grafana, post).tell(side_of(settings), now)
    (page,) = report.load_all(settings.reports_folder).reports
    start = "http://localhost:1/grafana/d/evalspan-regression?var-id="
    assert page.links[0].url.startswith(f"{start}{row['id'][:4]}")
    assert len(list((settings.reports_folder / "annotations").glob("*.json"))) == 1


def test_what_is_older_than_it_looks_back_is_not_told(settings: pipeline.Settings) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    open_one(settings, now)
    run(settings, sinks, now + timedelta(days=7))
    assert sinks.bodies == []


def test_a_sink_that_is_configured_later_gets_the_states_of_the_last_days(
    settings: pipeline.Settings,
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    open_one(settings, now)
    Telling(settings).tell(side_of(settings), now)
    (page,) = report.load_all(settings.reports_folder).reports
    assert page.state == "open"
    run(settings, sinks, now + timedelta(hours=1))
    assert sinks.states() == ["open"]


def test_notes_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    told = Told(tmp_path / "told")
    told.note("a", "page")
    told.forget(datetime.now(UTC) - timedelta(hours=1))
    assert told.is_noted("a", "page")
    told.forget(datetime.now(UTC) + timedelta(hours=1))
    assert not told.is_noted("a", "page")


def breaking(broken: Callable[..., bool], real: Callable[..., Any]) -> Callable[..., Any]:
    """Do it, but raise where `broken` says so of the arguments."""

    def maybe(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - as the real one
        if broken(*args):
            raise ValueError("a lone surrogate")  # noqa: EM101, TRY003
        return real(*args, **more)

    return maybe


def other_of(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": "f" * len(row["id"])}


def errors_of(settings: pipeline.Settings) -> dict[str, int]:
    word = read_word(settings.run_folder / "analysis.json")
    assert word
    return {part: count for part, count in word["errors"].items() if count}


def test_a_report_that_breaks_keeps_no_other_back_and_is_tried_again(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    row = open_one(settings, now)
    to_state(settings, other_of(row), "open", now + timedelta(seconds=1))
    telling = Telling(settings, sinks.post(settings.reports_folder))

    def tell(minutes: int) -> int:
        telling.tell(side_of(settings), now + timedelta(minutes=minutes))
        return telling.failures.counts["report"]

    with monkeypatch.context() as patch, capture_logs() as lines:
        broken = breaking(lambda asked, *_: asked["id"] == row["id"], report.build)
        patch.setattr(report, "build", broken)
        assert [tell(minute) for minute in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
    assert [made.id for made in report.load_all(settings.reports_folder).reports] == [
        report.report_id(other_of(row)["id"])
    ]
    failed = [line for line in lines if line["event"] == "failed"]
    assert {(x["log_level"], x["regression"], x["why"]) for x in failed} == {
        ("error", row["id"], "ValueError: a lone surrogate")
    }
    assert tell(8) == 3
    assert len(report.load_all(settings.reports_folder).reports) == 2


def test_a_change_that_breaks_keeps_not_back_what_came_after_it(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks, now = Sinks(), datetime.now(UTC)
    row = open_one(settings, now)
    to_state(settings, row, "resolved", now + timedelta(hours=1))
    broken = breaking(lambda asked, *_: asked["state"] == "open", report.build)
    monkeypatch.setattr(report, "build", broken)
    run(settings, sinks, now + timedelta(hours=2))
    assert sinks.states() == ["resolved"]
    (page,) = report.load_all(settings.reports_folder).reports
    assert page.state == "resolved"


def test_a_look_ends_whatever_report_breaks_and_says_how_many(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(settings, [side_of(settings)], None)
    made = len(report.load_all(settings.reports_folder).reports)
    assert made
    assert errors_of(settings) == {}
    monkeypatch.setattr("evalspan.pipeline._telling.REFRESH", timedelta(0))
    monkeypatch.setattr(report, "build", breaking(lambda *_: True, report.build))
    look(settings, [side_of(settings)], None)
    assert errors_of(settings) == {"page": made}


def test_a_search_that_cannot_be_told_is_tried_again(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    rows = [open_one(settings, now)]
    rows.append(other_of(rows[0]))
    names = ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb")
    for row, name in zip(rows, names, strict=True):
        findings = side_of(settings).causes(row, now, write=False)
        found = {**outcome(now), "experiment": name}
        save_report(settings, side_of(settings), row, findings, now, outcome=found)
    sinks = Sinks()
    telling = Telling(settings, sinks.post(settings.reports_folder))
    post = telling._post
    with monkeypatch.context() as patch:
        first = breaking(
            lambda _, made: made.optimization.experiment == names[0], Post.put_optimization
        )
        patch.setattr(Post, "put_optimization", first)
        telling.tell_optimizations(now)
    assert telling.failures.counts["search"] == 1
    for minutes in (1, 30):
        telling.tell_optimizations(now + timedelta(minutes=minutes))
        flush(post, now + timedelta(minutes=minutes))
    told = [b["experiment"] for b in sinks.bodies if b["event"] == "evalspan.optimization"]
    assert sorted(told) == sorted(names)


def test_a_report_with_a_search_is_built_once(
    settings: pipeline.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    row, side = open_one(settings, now), side_of(settings)
    findings = side.causes(row, now, write=False)
    save_report(settings, side, row, findings, now, outcome=outcome(now))
    built = Mock(wraps=report.build)
    monkeypatch.setattr(report, "build", built)
    made = save_report(settings, side, row, findings, now)
    assert made.optimization
    assert made.optimization.experiment == outcome(now)["experiment"]
    assert built.call_count == 1
