"""Settings of the receivers: where notifications go, and how they are delivered."""

import base64
import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from pipeline.time_zone import check_time_zone
from schemas.incident import Severity

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""Reference to an environment variable in a secret, such as ``${CHAT_TOKEN}``."""

SIGNING_KEY_BYTES = range(24, 65)
"""Sizes of a signing key that Standard Webhooks permits, in bytes."""

RESERVED_HEADERS = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "expect", "host", "transfer-encoding"),
        *("upgrade", "webhook-id", "webhook-signature", "webhook-timestamp"),
    }
)
"""Headers that the receiver or HTTP itself sets, in lower case."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")


def is_web_address(url: str) -> bool:
    """Return whether a text is an http or https address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_web_address(url: str) -> str:
    if not is_web_address(url):
        raise ValueError("it must be an http or https address with a host")
    return url


def _check_secret_address(url: SecretStr | None, subject: str) -> None:
    """Check that an address in the file is complete. An address with a variable is checked when it is read."""
    if url is not None and not VARIABLE.search(url.get_secret_value()) and not is_web_address(url.get_secret_value()):
        raise ValueError(f"{subject} must be an http or https address with a host")


def is_header_value(value: str) -> bool:
    """Return whether a text can be the value of a header: visible ASCII characters, and spaces between them."""
    return _HEADER_VALUE.fullmatch(value) is not None


def decode_signing_key(secret: str) -> bytes:
    """Return the signing key in a secret, which is base64 with or without ``whsec_`` before it.

    Source: Standard Webhooks.

    Raises
    ------
    ValueError
        If the secret is not base64, or if the key is too short or too long.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) not in SIGNING_KEY_BYTES:
        raise ValueError("it must be 24 to 64 random bytes in base64; create it with openssl rand -base64 32")
    return key


class DestinationSettings(BaseModel):
    """Settings of one kind of receiver. Errors do not repeat its values, because they may be secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def _check_secret(self, key: str, *, required: bool = True) -> None:
        """Check that a secret is given in the file or in a file of its own."""
        value, path = getattr(self, key), getattr(self, f"{key}_file")
        if (value is None) == (path is None) and (required or value is not None):
            raise ValueError(f"set either {key} or {key}_file")


class WebhookReceiverSettings(DestinationSettings):
    """A server that receives each notification as a CloudEvent."""

    url: SecretStr | None = Field(
        default=None,
        description="Address, http or https. ${NAME} is replaced by the environment variable NAME. The secret parts "
        "never appear in logs.",
    )
    url_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the address, instead of url. It is read again for each attempt.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="Key that signs each request as in Standard Webhooks: 24 to 64 random bytes in base64. ${NAME} is "
        "replaced by the environment variable NAME. Without a key, requests are not signed.",
    )
    secret_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the key, instead of secret. It is read again for each attempt.",
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Headers of your own, such as Authorization. ${NAME} in a value is replaced by the environment "
        "variable NAME. The values never appear in logs.",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid header name: use letters, digits and hyphens")
            if name.lower() in RESERVED_HEADERS:
                raise ValueError(f"{name} is set by driftwire: remove it")
            if not is_header_value(value.get_secret_value()):
                raise ValueError(f"the value of {name} must be visible ASCII characters, on one line")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("two names differ only in upper and lower case: remove one of them")
        return headers

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_secret("url")
        _check_secret_address(self.url, "url")
        self._check_secret("secret", required=False)
        if self.secret is not None and not VARIABLE.search(self.secret.get_secret_value()):
            try:
                decode_signing_key(self.secret.get_secret_value())
            except ValueError as error:
                raise ValueError(f"cannot use secret: {error}") from None
        return self


class AlertmanagerSettings(DestinationSettings):
    """An Alertmanager, or a cluster of them, that receives each incident as an alert."""

    urls: tuple[SecretStr, ...] | None = Field(
        default=None,
        min_length=1,
        description="Addresses of all members of the cluster, http or https, with the path prefix if there is one. "
        "${NAME} is replaced by the environment variable NAME. The secret parts never appear in logs.",
    )
    urls_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with one address per line, instead of urls. It is read again for each attempt.",
    )
    resend_interval_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Seconds between two re-sends of all open incidents. Higher values send fewer requests, but an "
        "Alertmanager that has restarted learns of them later.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_secret("urls")
        for url in self.urls or ():
            _check_secret_address(url, "each of urls")
        return self


class SlackSettings(DestinationSettings):
    """A channel of Slack: by the token of an app, with one message per incident, or by an incoming webhook."""

    token: SecretStr | None = Field(
        default=None,
        description="Bot token of an app with the scope chat:write. ${NAME} is replaced by the environment variable NAME.",
    )
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the bot token, instead of token. It is read again for each attempt.",
    )
    channel: str | None = Field(
        default=None, min_length=1, max_length=200, description="Id of the channel, with a token."
    )
    api_url: Annotated[str, AfterValidator(_check_web_address)] = Field(
        default="https://slack.com/api", description="Address of the Web API, with a token."
    )
    url: SecretStr | None = Field(
        default=None,
        description="Address of an incoming webhook, instead of a token and a channel. It posts every notification as a "
        "new message. ${NAME} is replaced by the environment variable NAME.",
    )
    url_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the address of the webhook, instead of url. It is read again for each attempt.",
    )

    @property
    def is_webhook(self) -> bool:
        """Whether messages are posted by an incoming webhook."""
        return self.url is not None or self.url_file is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_token = self.token is not None or self.token_file is not None
        if has_token == self.is_webhook:
            raise ValueError("set either token or token_file with channel, or url or url_file")
        if has_token != (self.channel is not None):
            raise ValueError(
                "set channel with a token, and without one remove it, because a webhook has its own channel"
            )
        self._check_secret("token" if has_token else "url")
        _check_secret_address(self.url, "url")
        return self


class GitHubSettings(DestinationSettings):
    """A repository on GitHub that gets an issue per incident."""

    repository: str = Field(
        pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+$", description="Owner and name of the repository: owner/name."
    )
    token: SecretStr | None = Field(
        default=None,
        description="Token with read and write access to the issues of the repository. ${NAME} is replaced by the "
        "environment variable NAME.",
    )
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the token, instead of token. It is read again for each attempt.",
    )
    labels: tuple[Annotated[str, Field(min_length=1, max_length=50)], ...] = Field(
        default=(), description="Further labels of new issues. All have the label driftwire."
    )
    url: Annotated[str, AfterValidator(_check_web_address)] = Field(
        default="https://api.github.com",
        description="Address of the REST API. A GitHub Enterprise Server has https://HOST/api/v3.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_secret("token")
        return self


class AppriseSettings(DestinationSettings):
    """Any service that Apprise knows, such as email, Microsoft Teams or Telegram."""

    url: SecretStr | None = Field(
        default=None,
        description="Address of the service, as Apprise documents it, such as mailtos://... for email. ${NAME} is "
        "replaced by the environment variable NAME. It never appears in logs.",
    )
    url_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the address, instead of url. It is read again for each attempt.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_secret("url")
        return self


class PagerDutySettings(DestinationSettings):
    """A service at PagerDuty that gets an alert per incident."""

    routing_key: SecretStr | None = Field(
        default=None,
        description="Integration key of the service, for the Events API v2. ${NAME} is replaced by the environment "
        "variable NAME.",
    )
    routing_key_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the integration key, instead of routing_key. It is read again for each attempt.",
    )
    url: Annotated[str, AfterValidator(_check_web_address)] = Field(
        default="https://events.pagerduty.com",
        description="Address of the Events API. Accounts in the EU use https://events.eu.pagerduty.com.",
    )
    change_events: bool = Field(
        default=False,
        description="Whether every deployment is sent as a change event too. Route then also reads the deployments.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_secret("routing_key")
        return self


DESTINATIONS = ("console", "webhook", "alertmanager", "slack", "github", "apprise", "pagerduty")
"""Keys of a receiver that select its kind. Each receiver has exactly one of them."""

DIGEST_DESTINATIONS = ("console", "webhook", "slack", "apprise")
"""Kinds of receivers that can send a digest."""


class ReceiverSettings(BaseModel):
    """A destination for notifications."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=100, description="Name that routes use.")
    console: bool = Field(default=False, description="Whether notifications are printed by the worker.")
    webhook: WebhookReceiverSettings | None = Field(
        default=None, description="Server that receives each notification as a CloudEvent."
    )
    alertmanager: AlertmanagerSettings | None = Field(
        default=None, description="Alertmanager, or a cluster of them, that receives each incident as an alert."
    )
    slack: SlackSettings | None = Field(default=None, description="Channel of Slack that gets a message per incident.")
    github: GitHubSettings | None = Field(
        default=None, description="Repository at GitHub that gets an issue per incident."
    )
    apprise: AppriseSettings | None = Field(
        default=None, description="Service that Apprise knows, such as email, Microsoft Teams or Telegram."
    )
    pagerduty: PagerDutySettings | None = Field(
        default=None, description="Service at PagerDuty that gets an alert per incident."
    )
    severities: tuple[Severity, ...] = Field(
        default=("P1", "P2", "P3", "P4"), description="Severities that the receiver accepts."
    )
    time_zone: Annotated[str, AfterValidator(check_time_zone)] = Field(
        default="UTC",
        description="IANA time zone of the people who read the messages. Messages then have the main times in this zone "
        "too.",
    )
    send_resolved: bool = Field(
        default=True, description="Whether a receiver that was notified of an incident is also notified of its end."
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Seconds after which one attempt times out.")
    retry_interval_max_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Maximum seconds between two attempts. Higher values burden an unavailable receiver less, but find "
        "its return later.",
    )
    give_up_after_s: float = Field(
        default=24 * 3600.0,
        gt=0,
        le=7 * 24 * 3600.0,
        description="Seconds for which a notification that the receiver does not accept is sent again. After that, its "
        "alert is dead-lettered.",
    )
    fallback: str | None = Field(
        default=None, description="Receiver that is notified instead while this receiver is unavailable."
    )
    fallback_after_s: float = Field(
        default=300.0,
        ge=0,
        description="Seconds after which the fallback is notified. Higher values wait longer for the receiver. If the "
        "receiver refuses a notification for good, the fallback is notified at once.",
    )
    messages_per_minute: int | None = Field(
        default=None, ge=1, description="Maximum number of attempts in one minute. Without a value, there is no limit."
    )

    @property
    def kind(self) -> str:
        """Key of its destination, such as ``webhook``."""
        return self._destinations()[0]

    @property
    def is_groupable(self) -> bool:
        """True if one message can be about several incidents. Alertmanager and GitHub need each incident by itself."""
        return self.alertmanager is None and self.github is None

    @property
    def resend_interval_s(self) -> float | None:
        """Seconds between two re-sends of open incidents, or None if the receiver does not need them."""
        return None if self.alertmanager is None else self.alertmanager.resend_interval_s

    @property
    def receives_deployments(self) -> bool:
        """Whether deployments are sent to it too."""
        return self.pagerduty is not None and self.pagerduty.change_events

    @model_validator(mode="after")
    def _check_destination(self) -> Self:
        if len(self._destinations()) != 1:
            raise ValueError(
                f"receiver {self.name!r} needs exactly one destination; set one of the keys {', '.join(DESTINATIONS)}"
            )
        return self

    def _destinations(self) -> list[str]:
        return [key for key in DESTINATIONS if getattr(self, key)]
