"""Settings of the HTTP server: address, authentication, TLS and limits, and their validation."""

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from pipeline.intake import MappingSettings
from pipeline.webhooks import WebhookSettings
from schemas.topics import MEBIBYTE
from topologies.listener_settings import ListenerSettings

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


class TelemetrySettings(MappingSettings):
    """How spans and logs of the OpenTelemetry protocol become records."""

    sampled: Literal["", "tail"] = Field(
        default="",
        description='Kind of sampling: "tail" if the spans are a sample that depends on the outcome, such as all errors '
        "and a few other requests. Rates are then not monitored.",
    )


class HttpSettings(ListenerSettings):
    """The HTTP server that receives records, telemetry, deployments and webhooks.

    >>> HttpSettings(listen="[::1]:8080").address, HttpSettings(listen="0.0.0.0:80").is_loopback
    (('::1', 8080), False)
    """

    prefix: ClassVar[str] = "http."

    listen: str = Field(
        default="127.0.0.1:4318",
        description="Address of the server, HOST:PORT. Port 0 selects a free port. Any address except the loopback address "
        "needs token_file, or client_ca_file with certificate_file and key_file.",
    )
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the token that clients send as Authorization: Bearer TOKEN. A new token needs no restart. "
        "Webhooks are authenticated by their signatures instead.",
    )
    client_ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the certificate authorities that sign the certificates of clients. With it, every client "
        "needs a certificate, including the senders of webhooks.",
    )
    request_bytes_max: int = Field(
        default=16 * MEBIBYTE,
        ge=1024,
        le=256 * MEBIBYTE,
        description="Maximum bytes of the body of a request, before and after decompression. Larger requests are refused. "
        "Higher values need more memory: a body is decoded in memory, one at a time.",
    )
    waiting_requests_max: int = Field(
        default=256,
        ge=1,
        le=100_000,
        description="Maximum number of requests that are being read, decoded or written to Kafka. Further requests are "
        "answered with 429. Higher values accept longer bursts and delay answers.",
    )
    waiting_bytes_max: int = Field(
        default=64 * MEBIBYTE,
        ge=1024,
        description="Maximum bytes of the bodies of these requests. Further requests are answered with 429. Higher values "
        "accept longer bursts and need more memory.",
    )
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings,
        description="How spans and logs that are sent to /v1/traces and /v1/logs become records.",
    )

    webhooks: dict[str, WebhookSettings] = Field(
        default_factory=dict, description="Webhooks of other tools, which are received at /v1/webhooks/NAME."
    )

    @field_validator("webhooks")
    @classmethod
    def _have_names(cls, webhooks: dict[str, WebhookSettings]) -> dict[str, WebhookSettings]:
        for name in webhooks:
            if not _NAME.fullmatch(name):
                raise ValueError(f'"{name}" is not a name: use 1 to 100 letters, digits, hyphens and underscores')
        return webhooks

    def _contradictions(self) -> Iterator[str]:
        yield from super()._contradictions()
        if self.waiting_bytes_max < self.request_bytes_max:
            yield f"waiting_bytes_max: must be at least request_bytes_max ({self.request_bytes_max}); raise it"
