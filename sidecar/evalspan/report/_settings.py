"""Settings of report, and its error."""

from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from evalspan.config import Duration, Strict


class ReportError(ValueError):
    """A report that cannot be read or a setting that cannot be used; says what to do."""


class TlsSettings(Strict):
    """Certificates for sending reports; without this block the endpoint's scheme decides."""

    ca_file: str | None = Field(default=None, description="Authorities to trust, PEM.")
    cert_file: str | None = Field(default=None, description="Client certificate, PEM.")
    key_file: str | None = Field(default=None, description="Key of the client certificate, PEM.")


class Retries(Strict):
    """How often and how patiently something is sent again."""

    timeout_seconds: float = Field(default=10, gt=0, description="Limit of one sending, seconds.")
    max_tries: int = Field(
        default=50,
        ge=1,
        description="Tries of what the server fails on, before it is put aside in the folder "
        "`dead` of the outbox. A server that is not there or asks to wait is asked on and on.",
    )
    first_wait_seconds: float = Field(default=1, gt=0, description="Wait after the first failure.")
    longest_wait_seconds: float = Field(default=600, gt=0, description="Longest wait.")


class OtlpSettings(Retries):
    """Where reports are sent as OTLP log records."""

    endpoint: str = Field(
        description="A Collector, `localhost:4317` for grpc, or an address for http to which "
        "/v1/logs is added: `http://loki:3100/otlp`.",
    )
    protocol: Literal["grpc", "http"] = Field(default="grpc", description="grpc or http.")
    headers_env: dict[str, str] = Field(
        default={},
        description="Header → environment variable that holds its value. Secrets stand in no file.",
    )
    tls: TlsSettings | None = Field(default=None, description="Certificates; also turns TLS on.")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value if "://" in value else f"//{value}")
        if parts.scheme not in {"", "http", "https"} or not parts.hostname:
            msg = "expected an address such as localhost:4317 or http://loki:3100/otlp"
            raise ValueError(msg)
        return value


class GrafanaSettings(Retries):
    """A Grafana that gets an annotation at each change of state, and whose dashboards are linked.

    `token_file` holds a service account token and nothing else; it is read at each use.
    """

    url: str | None = Field(
        default=None,
        description="Address of Grafana, such as http://grafana:3000; null: no annotations.",
    )
    token_file: Path | None = Field(
        default=None,
        description="File that holds a service account token; relative to where the command runs.",
    )
    annotations: bool = Field(
        default=True,
        description="Whether a change of state becomes an annotation, where url is set.",
    )
    regression_dashboard: str = Field(
        default="/d/evalspan-regression?var-id={id}&var-check={check}",
        description="Path of the dashboard of one regression below url; {id} and {check} in it "
        "become the regression's.",
    )

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        return web_address(value)


def web_address(value: str | None) -> str | None:
    """Return an address of the web, or raise ValueError."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "expected an address that starts with http:// or https://"
        raise ValueError(msg)
    return value


class ReportSettings(Strict):
    """Settings of reports."""

    otlp: OtlpSettings | None = Field(
        default=None,
        description="Where to send reports as OTLP log records; null: nowhere.",
    )
    trace_url: str | None = Field(
        default=None,
        description="Address of a trace in Tempo or Jaeger with {trace_id} in it.",
    )
    dashboard_url: str | None = Field(
        default=None,
        description="Address of the dashboard; {check} in it becomes the check, {id} the id of the "
        "regression. Default: grafana.regression_dashboard, where grafana.url is set.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address at which people reach /reports/, such as "
        "https://evalspan.example/reports/; used in links of log records, annotations and alerts.",
    )
    look_back: Duration = Field(
        default=timedelta(days=6),
        gt=timedelta(0),
        description="How far back changes of state are looked for in the tables that were never "
        "sent. Loki takes nothing older than 7 days by default.",
    )

    @field_validator("trace_url", "dashboard_url", "public_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        return web_address(value)
