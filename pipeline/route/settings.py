"""What a person may set of route: the receivers, and which incidents go to which of them. Alertmanager's words."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from pipeline.route.matchers import Matcher, parse_matchers
from schemas.incident import Severity

DEFAULT_ROUTE = "default"
"""The name of the root of the tree."""


class ReceiverSettings(BaseModel):
    """One place that notifications go to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # the url may hold a secret

    name: str = Field(min_length=1, max_length=100, description="what routes call it")
    kind: Literal["console", "webhook"]
    url: SecretStr | None = Field(
        default=None, description="of a webhook: http or https; logs never show its secret parts"
    )
    severities: tuple[Severity, ...] = Field(default=("P1", "P2", "P3", "P4"), description="which it takes")
    send_resolved: bool = Field(default=True, description="tell it the end of what it was told the beginning of")
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="seconds for one attempt")
    attempts_max: int = Field(default=5, ge=1, le=20, description="attempts for one notification")
    give_up_after_s: float = Field(
        default=30.0, gt=0, le=600, description="seconds for all attempts and waits of one notification"
    )

    @model_validator(mode="after")
    def _url_fits_kind(self) -> Self:
        if self.kind == "console" and self.url is not None:
            raise ValueError(f"receiver {self.name!r}: a console has no url")
        if self.kind == "webhook":
            if self.url is None:
                raise ValueError(f"receiver {self.name!r}: a webhook needs a url")
            try:
                parts = urlsplit(self.url.get_secret_value())
                usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                # The address itself may hold a secret, so the message does not repeat it.
                raise ValueError(f"receiver {self.name!r}: its url is no http or https address with a host")
        return self


class Route(BaseModel):
    """One node of the tree: incidents that match go to its receivers, unless one of its own routes takes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="how notifications refer to it")
    matchers: tuple[str, ...] = Field(default=(), description='all must hold: subject="support-bot", severity=~"P1|P2"')
    receivers: tuple[str, ...] = Field(min_length=1)
    continues: bool = Field(default=False, alias="continue", description="after a match, try the next routes as well")
    routes: tuple["Route", ...] = ()

    @field_validator("matchers")
    @classmethod
    def _matchers_read(cls, matchers: tuple[str, ...]) -> tuple[str, ...]:
        for text in matchers:
            parse_matchers(text)
        return matchers

    def parsed(self) -> tuple[Matcher, ...]:
        """All its matchers."""
        return tuple(matcher for text in self.matchers for matcher in parse_matchers(text))


class RouteSettings(BaseModel):
    """The root of the tree, the receivers and the limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    receivers: tuple[ReceiverSettings, ...] = Field(
        default=(ReceiverSettings(name="console", kind="console"),), description="the places that routes name"
    )
    default_receivers: tuple[str, ...] = Field(
        default=("console",), min_length=1, description="take what no route takes"
    )
    routes: tuple[Route, ...] = Field(
        default=(), description="tried in order; the first that matches takes the incident"
    )
    repeat_interval_s: float = Field(
        default=4 * 3600.0,
        gt=0,
        description="event time after which a revision that brings nothing new is sent all the same",
    )
    incidents_max: int = Field(default=10_000, ge=1, description="incidents whose notifications are remembered")
    silences_max: int = Field(default=1_000, ge=1, description="silences kept; beyond, those that end first go first")

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = [receiver.name for receiver in self.receivers]
        doubled = {name for name in known if known.count(name) > 1}
        if doubled:
            raise ValueError(f"two receivers have the name {min(doubled)!r}: give each its own")
        names = [DEFAULT_ROUTE]
        _check_receivers(DEFAULT_ROUTE, self.default_receivers, known)
        open_routes = list(self.routes)
        while open_routes:
            route = open_routes.pop(0)
            if route.name in names:
                raise ValueError(
                    f"two routes have the name {route.name!r}: give each its own ({DEFAULT_ROUTE!r} is taken)"
                )
            names.append(route.name)
            _check_receivers(route.name, route.receivers, known)
            open_routes.extend(route.routes)
        return self


def _check_receivers(route: str, receivers: tuple[str, ...], known: list[str]) -> None:
    for receiver in receivers:
        if receiver not in known:
            raise ValueError(f"route {route!r} names receiver {receiver!r}, which is not among: {', '.join(known)}")
