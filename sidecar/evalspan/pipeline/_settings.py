"""The config as a whole: one key for each room, each key's settings in the room's door."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from evalspan.config import Dimension, Duration, Strict
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

# Always there: name → column of SCORES by which a score can be split without any setting.
BUILT_IN = {
    "service": "service_name",
    "prompt": "prompt_name",
    "prompt_version": "prompt_version",
    "model": "model",
}


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

    def read_from(self, file: Path | None) -> None:
        """Keep the file: mistakes are told with its name, modules looked for beside it."""
        self._file = file
