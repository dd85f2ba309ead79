"""What can be set about the receiver."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from evalspan.config import Duration, Strict


class ReceiveSettings(Strict):
    """The gRPC receiver for OTLP traces and logs, and for Annotate."""

    listen: str = Field(
        default="127.0.0.1:4317",
        pattern=r"^(.+:\d+|unix:.+)$",
        description="Address to listen on, host:port or unix:/path; port 0 takes a free one.",
    )
    max_message_mib: int = Field(
        default=64,
        ge=1,
        le=2047,
        description="Largest request in MiB, after decompression. A larger one is refused for "
        "good: sending it again could not help.",
    )
    max_in_flight_mib: int = Field(
        default=512,
        ge=1,
        description="Most MiB of requests in memory at once; a request that is still being "
        "received counts with max_message_mib. Beyond it requests wait, then are told to retry.",
    )
    busy_wait: Duration = Field(
        default=timedelta(seconds=3),
        ge=timedelta(0),
        description="How long a request waits for its place under max_in_flight_mib: "
        "addresses take turns, and of each its connections. The more requests wait, the less "
        "time has each to be sent, so that all have their turn before the wait is over; those "
        "beyond what that can serve are refused at once.",
    )
    read_timeout: Duration = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="How long a sender may take to send one request.",
    )
    crowded_read_timeout: Duration = Field(
        default=timedelta(seconds=1),
        gt=timedelta(0),
        description="How long it may take at most while others wait for its place under "
        "max_in_flight_mib: the senders that began first are cut off, and asked to send again.",
    )
    retry_after: Duration = Field(
        default=timedelta(seconds=5),
        gt=timedelta(0),
        description="Delay asked of senders (RetryInfo) while the log is full or we are busy.",
    )
    shutdown_grace: Duration = Field(
        default=timedelta(seconds=5),
        ge=timedelta(0),
        description="How long accepted requests may take to finish after a stop.",
    )
    annotate_deadline: Duration = Field(
        default=timedelta(seconds=1),
        gt=timedelta(0),
        description="Longest time for one Annotate; a shorter deadline of the caller wins.",
    )
    annotate_threads: int = Field(
        default=2, ge=1, le=64, description="How many Annotate calls run at once."
    )
    annotate_waiting: int = Field(
        default=16,
        ge=0,
        description="How many Annotate calls may wait for a thread; more are refused at once.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file with the server's certificate chain; turns TLS on."
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file with the private key of tls_certificate."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file with the authorities whose client certificates are accepted; "
        "without it clients need none.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "tls_certificate and tls_key belong together: set both or none"
            raise ValueError(msg)
        if self.tls_client_ca and not self.tls_certificate:
            msg = "tls_client_ca needs tls_certificate and tls_key"
            raise ValueError(msg)
        if self.max_in_flight_mib < self.max_message_mib:
            msg = (
                f"max_in_flight_mib ({self.max_in_flight_mib}) must hold at least one message of "
                f"max_message_mib ({self.max_message_mib})"
            )
            raise ValueError(msg)
        return self
