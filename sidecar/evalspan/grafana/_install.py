"""Bring a Grafana to what is wanted: folder, data sources, dashboards, alert rules.

What is there is read first and compared on the keys that are written here, so that a second
run changes nothing, and that a dry run can show what would change.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final, Literal

from evalspan.grafana._client import Grafana, GrafanaError
from evalspan.grafana._managed import comparable, rule_groups
from evalspan.grafana._watched import Watched

FOLDER: Final = {"uid": "evalspan", "title": "evalspan"}
# In the wheel they stand beside this file, in a checkout in the folder grafana.
_PLACES: Final = (
    Path(__file__).with_name("dashboards"),
    Path(__file__).parents[3] / "grafana" / "dashboards",
)
_RULES: Final = f"/api/v1/provisioning/folder/{FOLDER['uid']}/rule-groups"
_JSON_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    "prometheus": {
        "httpMethod": "POST",
        "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "evalspan-tempo"}],
    },
    "loki": {
        "derivedFields": [
            {
                "name": "trace_id",
                "matcherType": "label",
                "matcherRegex": "trace_id",
                "datasourceUid": "evalspan-tempo",
                "url": "${__value.raw}",
            }
        ]
    },
    "tempo": {},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in Grafana. `sources` are kind (prometheus, loki, tempo) → address."""

    sources: Mapping[str, str]
    watched: Watched
    rules: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or would be, to one thing; `diff` is empty where nothing differs."""

    what: str
    action: Literal["created", "changed", "unchanged"]
    diff: str = ""


def install(grafana: Grafana, wanted: Wanted, *, dry_run: bool = False) -> Iterator[Change]:
    """Yield each change as it is made, or with `dry_run` as it would be; raises GrafanaError."""
    for step in _steps(grafana, wanted):
        change = _change(step)
        if change.action != "unchanged" and not dry_run:
            method, path, body = step.write
            grafana.send(method, path, body)
        yield change


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing: what is there (None: nothing), what is wanted, and how it is written."""

    what: str
    there: Any
    wanted: Mapping[str, Any]
    write: tuple[str, str, Mapping[str, Any]]


def _steps(grafana: Grafana, wanted: Wanted) -> Iterator[_Step]:
    there = grafana.get(f"/api/folders/{FOLDER['uid']}")
    update = ("PUT", f"/api/folders/{FOLDER['uid']}", {**FOLDER, "overwrite": True})
    yield _Step("folder", there, FOLDER, update if there else ("POST", "/api/folders", FOLDER))
    for kind, url in wanted.sources.items():
        yield _source(grafana, kind, url)
    for dashboard in dashboards():
        yield _dashboard(grafana, dashboard)
    if wanted.rules:
        source = _prometheus(grafana, wanted)
        for group in rule_groups(wanted.watched, source):
            path = f"{_RULES}/{group['title']}"
            there = grafana.get(path)
            seen = comparable(group, there)
            yield _Step(f"rules {group['title']}", there, seen, ("PUT", path, group))


def _source(grafana: Grafana, kind: str, url: str) -> _Step:
    uid = f"evalspan-{kind}"
    body = {
        "uid": uid,
        "name": uid,
        "type": kind,
        "access": "proxy",
        "url": url,
        "jsonData": _JSON_DATA[kind],
    }
    path = f"/api/datasources/uid/{uid}"
    there = grafana.get(path)
    write = ("PUT", path, body) if there else ("POST", "/api/datasources", body)
    return _Step(f"data source {kind}", there, body, write)


def _dashboard(grafana: Grafana, dashboard: Mapping[str, Any]) -> _Step:
    there = grafana.get(f"/api/dashboards/uid/{dashboard['uid']}")
    body = {
        "dashboard": {**dashboard, "id": None},
        "folderUid": FOLDER["uid"],
        "overwrite": True,
        "message": "evalspan grafana install",
    }
    return _Step(
        f"dashboard {dashboard['title']}",
        there and there["dashboard"],
        dashboard,
        ("POST", "/api/dashboards/db", body),
    )


def _prometheus(grafana: Grafana, wanted: Wanted) -> str:
    """Uid of the Prometheus that the rules ask."""
    if "prometheus" in wanted.sources:
        return "evalspan-prometheus"
    sources = [s for s in grafana.get("/api/datasources") or [] if s["type"] == "prometheus"]
    chosen = [s for s in sources if s.get("isDefault")] or sources
    if len(chosen) != 1:
        names = ", ".join(source["name"] for source in sources) or "none"
        msg = f"the rules need one Prometheus, Grafana knows: {names}; give --prometheus"
        raise GrafanaError(msg)
    uid: str = chosen[0]["uid"]
    return uid


def dashboards() -> Sequence[Mapping[str, Any]]:
    """Return the dashboards that come with evalspan."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    if folder is None:
        msg = f"no dashboards at {_PLACES[0]}: this installation is not whole"
        raise GrafanaError(msg)
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]


def _change(step: _Step) -> Change:
    if step.there is None:
        return Change(step.what, "created", _diff(step.what, {}, step.wanted))
    theirs = _same_keys(step.there, step.wanted)
    if theirs == step.wanted:
        return Change(step.what, "unchanged")
    return Change(step.what, "changed", _diff(step.what, theirs, step.wanted))


def _same_keys(theirs: Any, ours: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what Grafana keeps besides: ids, times, defaults."""
    if isinstance(theirs, dict) and isinstance(ours, Mapping):
        return {key: _same_keys(theirs[key], ours[key]) for key in ours if key in theirs}
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [_same_keys(mine, other) for mine, other in zip(theirs, ours, strict=True)]
    return theirs


def _diff(what: str, before: Any, after: Any) -> str:  # noqa: ANN401 - JSON
    old, new = (
        json.dumps(each, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
        for each in (before, after)
    )
    return "\n".join(unified_diff(old, new, f"{what} in Grafana", f"{what} wanted", lineterm=""))
