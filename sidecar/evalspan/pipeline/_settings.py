"""The config as a whole: one key for each room, each key's settings in the room's door."""

import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, PrivateAttr, model_validator

from evalspan import config, model
from evalspan.config import Dimension, Duration, SettingError, Strict
from evalspan.detect import DetectSettings
from evalspan.evaluate import ChecklistSettings, CheckSettings, ModelPrice
from evalspan.explain import ExplainSettings
from evalspan.grafana import AlertSettings
from evalspan.llm import LLMSettings
from evalspan.metrics import MetricsSettings
from evalspan.optimize import OptimizeSettings
from evalspan.receive import ReceiveSettings
from evalspan.report import GrafanaSettings, ReportSettings
from evalspan.settle import SettleSettings
from evalspan.store import StoreSettings
from evalspan.views import PROD, ViewSettings
from evalspan.wal import WalSettings

DEFAULT_FILE = Path("evalspan.yaml")
# Always there: name → column of SCORES by which a score can be split without any setting.
BUILT_IN = {
    "service": "service_name",
    "prompt": "prompt_name",
    "prompt_version": "prompt_version",
    "model": "model",
}
# Names that mean something else beside a dimension: labels of our metrics, columns of analyses.
_OF_METRICS: Final = ("le", "quantile", "job", "instance", "reason", "outcome", "id", "kind")
_OF_ANALYSES: Final = ("score", "cluster", "attempt", "counts", "root", "day", "direction", "slice")
_OF_FRAMES: Final = ("row", "bucket", "shown", "n", "series")
_TAKEN: Final = frozenset((*_OF_METRICS, *_OF_ANALYSES, *_OF_FRAMES))
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class AnalysisSettings(Strict):
    """When the read side looks, and through which views."""

    every: Duration = Field(
        default=timedelta(minutes=1),
        gt=timedelta(0),
        description="How often scores are looked at for changes.",
    )
    history: Duration = Field(
        default=timedelta(days=30),
        gt=timedelta(0),
        description="How far back it looks.",
    )
    views: tuple[str, ...] = Field(
        default=(PROD,),
        description="Views that are watched.",
    )


class Settings(Strict):
    """evalspan: everything has a default; an empty file is a valid config."""

    data: Path = Field(
        default=Path("evalspan-data"),
        description="Folder for the log, the tables and the reports; relative to where the "
        "command runs.",
    )
    receive: ReceiveSettings = Field(
        default_factory=ReceiveSettings,
        description="How spans come in.",
    )
    wal: WalSettings = Field(
        default_factory=WalSettings,
        description="The write-ahead log.",
    )
    store: StoreSettings = Field(
        default_factory=StoreSettings,
        description="The tables.",
    )
    settle: SettleSettings = Field(
        default_factory=SettleSettings,
        description="When a trace is complete.",
    )
    dimensions: dict[str, Dimension] = Field(
        default_factory=dict,
        description="Properties by which scores are split, beside service, prompt, "
        "prompt_version and model.",
    )
    checks: dict[str, CheckSettings] = Field(
        default_factory=dict,
        description="Deterministic questions, by name.",
    )
    checklists: dict[str, ChecklistSettings] = Field(
        default_factory=dict,
        description="Yes/no questions that a judge answers, by name.",
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        description="Model → your own price, before the public price list.",
    )
    llm: LLMSettings = Field(
        default_factory=LLMSettings,
        description="The model API that judges and rewriting ask.",
    )
    metrics: MetricsSettings = Field(
        default_factory=MetricsSettings,
        description="The page that Prometheus scrapes.",
    )
    views: dict[str, ViewSettings] = Field(
        default_factory=dict,
        description="Named readings of the tables.",
    )
    analysis: AnalysisSettings = Field(
        default_factory=AnalysisSettings,
        description="When scores are looked at.",
    )
    detect: DetectSettings = Field(
        default_factory=DetectSettings,
        description="What counts as a change.",
    )
    explain: ExplainSettings = Field(
        default_factory=ExplainSettings,
        description="How causes are looked for.",
    )
    optimize: OptimizeSettings = Field(
        default_factory=OptimizeSettings,
        description="How a better prompt is looked for and proven.",
    )
    report: ReportSettings = Field(
        default_factory=ReportSettings,
        description="Where reports go.",
    )
    grafana: GrafanaSettings = Field(
        default_factory=GrafanaSettings,
        description="A Grafana that is told of changes and linked to.",
    )
    alerts: AlertSettings = Field(
        default_factory=AlertSettings,
        description="When people are told; `evalspan grafana rules` writes it for Prometheus.",
    )
    _file: Path | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, data: Any) -> Any:  # noqa: ANN401 - what stands in the file
        """Take a key with nothing behind it, as `latency:` under checks, as its defaults."""
        if not isinstance(data, dict):
            return data
        given = {key: value for key, value in data.items() if value is not None}
        if isinstance(checks := given.get("checks"), dict):
            given["checks"] = {k: {} if v is None else v for k, v in checks.items()}
        return given

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, dimension in self.dimensions.items():
            _check_dimension(name, dimension)
        for kind, names in (("checks", self.checks), ("checklists", self.checklists)):
            for name in names:
                _check_name(kind, name)
        for name in self.checklists:
            if name in self.checks:
                told = "a check has this name already; a name is one of them"
                raise SettingError(("checklists", name), told)
        self._check_detect()
        needed = self.settle.idle + self.settle.max_age
        if self.wal.tick_for < needed:
            told = (
                f"must be at least settle.idle + settle.max_age ({needed}), or the last traces "
                f"would wait for the next one (found {self.wal.tick_for})"
            )
            raise SettingError(("wal", "tick_for"), told)
        return self

    def _check_detect(self) -> None:
        """What detect names is there: checks, and dimensions."""
        known = (*self.checks, *self.checklists)
        for name in self.detect.minimum_effects:
            if name.partition("/")[0] not in known:
                keys = ("detect", "minimum_effects", name)
                raise SettingError(keys, _no_such("check", name, known))
        pinned = self.detect.baseline.versions if self.detect.baseline else {}
        for name in pinned:
            if name not in self.all_dimensions:
                told = _no_such("dimension", name, self.all_dimensions)
                raise SettingError(("detect", "baseline", "versions", name), told)
        if self.detect.cluster and self.detect.cluster not in self.all_dimensions:
            told = _no_such("dimension", self.detect.cluster, self.all_dimensions)
            raise SettingError(("detect", "cluster"), told)

    @property
    def file(self) -> Path | None:
        """The config file; None where the defaults are used."""
        return self._file

    @property
    def folder(self) -> Path:
        """Folder of the config file: where user modules and schemas are looked for."""
        return self._file.resolve().parent if self._file else Path.cwd()

    @property
    def all_dimensions(self) -> tuple[str, ...]:
        """Names of the built-in dimensions and of the configured ones."""
        return (*BUILT_IN, *(name for name in self.dimensions if name not in BUILT_IN))

    @property
    def log_folder(self) -> Path:
        """Where the write-ahead log stands."""
        return self.data / "wal"

    @property
    def tables_folder(self) -> Path:
        """Where the tables stand."""
        return self.data / "tables"

    @property
    def reports_folder(self) -> Path:
        """Where the reports stand."""
        return self.data / "reports"

    @property
    def told_folder(self) -> Path:
        """Where it is noted which changes of state were told to whom."""
        return self.run_folder / "told"

    @property
    def run_folder(self) -> Path:
        """Where the processes leave word for each other."""
        return self.data / "run"


def _check_dimension(name: str, dimension: Dimension) -> None:
    keys = ("dimensions", name)
    columns = model.SPANS.schema.names
    if name in BUILT_IN:
        raise SettingError(keys, "this dimension is always there; choose another name")
    if name in columns or name in _TAKEN or name in model.SCORES.schema.names:
        raise SettingError(
            keys, "this is the name of a column or label already; choose another name"
        )
    if not _LABEL.fullmatch(name) or name.startswith("__"):
        told = "a dimension becomes a metric label: letters, digits and _, no digit first, no __"
        raise SettingError(keys, told)
    if (dimension.attribute is None) == (dimension.column is None):
        raise SettingError(keys, "set attribute or column, one of them")
    if dimension.column is not None and dimension.column not in columns:
        near = get_close_matches(dimension.column, columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingError((*keys, "column"), f"SPANS has no column {dimension.column!r}.{hint}")


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no {what} {name!r}.{hint} Known: {', '.join(known) or 'none'}."


def _check_name(kind: str, name: str) -> None:
    """A name is a metric label and, with `/item` after it, the name of a stream of verdicts."""
    if not name or "/" in name or not name.isprintable():
        told = "a name is not empty and has no / in it (that stands before an item)"
        raise SettingError((kind, name), told)


def load_settings(file: Path | None = None, *, data: Path | None = None) -> Settings:
    """Read the config; without a file ./evalspan.yaml, and without that the defaults.

    `data` is used instead of the folder in the config. Raises ConfigError.
    """
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    settings = config.load(file, Settings) if file else Settings()
    if data is not None:
        settings = settings.model_copy(update={"data": data})
    settings._file = file  # noqa: SLF001 - our own class
    return settings
