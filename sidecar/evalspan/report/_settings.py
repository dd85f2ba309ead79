"""Settings of report, and its error."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from evalspan.config import Strict


class ReportError(ValueError):
    """A report that cannot be read or a setting that cannot be used; says what to do."""


class TlsSettings(Strict):
    """Certificates for sending reports; without this block the endpoint's scheme decides."""

    ca_file: str | None = Field(default=None, description="Authorities to trust, PEM.")
    cert_file: str | None = Field(default=None, description="Client certificate, PEM.")
    key_file: str | None = Field(default=None, description="Key of the client certificate, PEM.")


class OtlpSettings(Strict):
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
    timeout_seconds: float = Field(default=10, gt=0, description="Limit of one sending, seconds.")
    max_tries: int = Field(
        default=50,
        ge=1,
        description="Tries before a report is put aside in the folder `dead` of the outbox.",
    )
    first_wait_seconds: float = Field(default=1, gt=0, description="Wait after the first failure.")
    longest_wait_seconds: float = Field(default=600, gt=0, description="Longest wait.")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value if "://" in value else f"//{value}")
        if parts.scheme not in {"", "http", "https"} or not parts.hostname:
            msg = "expected an address such as localhost:4317 or http://loki:3100/otlp"
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
        description="Address of the dashboard; {check} in it becomes the check.",
    )
    report_url: str | None = Field(
        default=None,
        description="Address at which people reach /reports/, put into what is sent.",
    )

    @field_validator("trace_url", "dashboard_url", "report_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in {"http", "https"}:
            msg = "expected an address that starts with http:// or https://"
            raise ValueError(msg)
        return value
