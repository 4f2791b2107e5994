"""Settings of the route step: the receivers, and the routes that select them. The terms are from Alertmanager."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.route.labels import INCIDENT_LABELS, RUNBOOK_BASE, LabelRule
from pipeline.route.link_templates import LinkLabel, LinkTemplate
from pipeline.route.matchers import check_label_names, parse_matchers
from pipeline.route.receiver_settings import DIGEST_DESTINATIONS, ReceiverSettings, is_web_address
from pipeline.route.time_intervals import TimeIntervalSettings, checked_by, parse_time, parse_weekdays
from pipeline.time_zone import check_time_zone
from pipeline.wording import did_you_mean

DEFAULT_ROUTE = "default"
"""Name of the root of the routing tree."""

UNGROUPED = ("...",)
"""Value of ``group_by`` for which each incident has a message of its own. Alertmanager has the same value."""


_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def _check_matchers(matchers: tuple[str, ...]) -> tuple[str, ...]:
    parse_matchers(*matchers)
    return matchers


MatcherTexts = Annotated[tuple[str, ...], AfterValidator(_check_matchers)]


class Route(BaseModel):
    """Node of the routing tree. Matching incidents go to its receivers, unless a nested route matches them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="Name of the route in notifications.")
    matchers: MatcherTexts = Field(
        default=(),
        description='Conditions on the labels of an incident, such as subject="support-bot" or severity=~"P1|P2". All '
        "must match.",
    )
    receivers: tuple[str, ...] = Field(min_length=1, description="Receivers of the incidents that match.")
    continues: bool = Field(
        default=False, alias="continue", description="Whether the next routes are tried after a match."
    )
    mute_times: tuple[str, ...] = Field(
        default=(), description="Names of time intervals in which the route sends nothing."
    )
    active_times: tuple[str, ...] = Field(
        default=(),
        description="Names of time intervals outside which the route sends nothing. Without names, it is always active.",
    )
    repeat_interval_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which an open incident of this route or its nested routes is sent again, instead of "
        "those of the outer route. Higher values repeat notifications less often.",
    )
    group_by: tuple[str, ...] | None = Field(
        default=None, description="Labels by which the route groups its incidents, instead of those of the outer route."
    )
    group_wait_s: float | None = Field(
        default=None,
        ge=0,
        description="Seconds from the first news of a group to its message, instead of those of the outer route. Higher "
        "values collect more incidents in one message, but notify later.",
    )
    group_interval_s: float | None = Field(
        default=None,
        ge=0,
        description="Minimum seconds between two messages of a group, instead of those of the outer route. Higher values "
        "send fewer messages, but notify later.",
    )
    routes: tuple["Route", ...] = Field(
        default=(), description="Nested routes, tried first. This route handles incidents that no nested route matches."
    )


class LabelSettings(BaseModel):
    """Labels of your own, such as team or tier, for the incidents that match."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matchers: MatcherTexts = Field(
        default=(),
        description="Conditions on the labels of an incident. All must match. Without conditions, every incident gets "
        "the labels.",
    )
    labels: dict[str, str] = Field(
        min_length=1, description="Labels and their values. They overwrite the labels of earlier tables."
    )

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a label name; use letters, digits and underscores, and start with a letter"
                )
            if name in INCIDENT_LABELS:
                raise ValueError(f"{name!r} is a label of every incident; choose another name")
        if RUNBOOK_BASE in labels and not is_web_address(labels[RUNBOOK_BASE]):
            raise ValueError(f"{RUNBOOK_BASE} must be an http or https address with a host")
        return labels


class InhibitSettings(BaseModel):
    """Rule by which open incidents suppress the notifications of others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: MatcherTexts = Field(
        min_length=1, description="Conditions on the labels of the open incident. All must match."
    )
    target: MatcherTexts = Field(
        min_length=1, description="Conditions on the labels of the incidents that are not sent. All must match."
    )
    equal: tuple[str, ...] = Field(
        default=(),
        description="Labels that must be equal in both incidents. A label that an incident does not have is empty.",
    )


class EscalationSettings(BaseModel):
    """Further receivers of the incidents that match and that nobody acknowledges in time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="Name of the escalation in notifications.")
    matchers: MatcherTexts = Field(
        default=('severity=~"P1|P2"',), description="Conditions on the labels of an incident. All must match."
    )
    after_s: float = Field(
        default=900.0,
        gt=0,
        description="Seconds after the first notification until an incident that is open and not acknowledged is escalated. "
        "Higher values escalate later.",
    )
    receivers: tuple[str, ...] = Field(min_length=1, description="Receivers that are notified then.")


class DigestSettings(BaseModel):
    """Daily summary of P4 incidents, of P3 incidents that are open for longer than a day, and of suppressed ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="Name of the digest in its messages.")
    receivers: tuple[str, ...] = Field(
        min_length=1, description="Receivers of the digest. The console, webhook, slack and apprise can receive it."
    )
    time: Annotated[str, checked_by(parse_time)] = Field(
        description="Local time of day from which it is sent, as HH:MM."
    )
    weekdays: tuple[Annotated[str, checked_by(parse_weekdays)], ...] = Field(
        default=(),
        description="Days of the week or ranges of them, such as monday:friday, on which it is sent. Without days, it "
        "is sent every day. Weeks begin on Sunday.",
    )
    location: Annotated[str, AfterValidator(check_time_zone)] = Field(
        default="UTC", description="IANA time zone of the time and the weekdays, such as Europe/Berlin."
    )
    matchers: MatcherTexts = Field(
        default=(),
        description="Conditions on the labels of the incidents in the digest. All must match. Without conditions, it "
        "contains all incidents.",
    )

    @field_validator("time")
    @classmethod
    def _check_time(cls, time: str) -> str:
        if time == "24:00":
            raise ValueError("24:00 is not on the same day; write 00:00")
        return time


class RouteSettings(BaseModel):
    """Settings of the route step: the receivers, the routing tree and the limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    receivers: tuple[ReceiverSettings, ...] = Field(
        default=(ReceiverSettings(name="console", console=True),), description="Receivers that routes can refer to."
    )
    default_receivers: tuple[str, ...] = Field(
        default=("console",), min_length=1, description="Receivers of the incidents that no route matches."
    )
    routes: tuple[Route, ...] = Field(
        default=(), description="Routes, tried in order. The first route that matches handles the incident."
    )
    labels: tuple[LabelSettings, ...] = Field(
        default=(), description="Labels of your own for matchers, added to incidents in order."
    )
    links: dict[LinkLabel, LinkTemplate] = Field(
        default_factory=dict,
        max_length=3,
        description="Further links in messages, such as a trace search: address templates by name.",
    )
    inhibit: tuple[InhibitSettings, ...] = Field(
        default=(), description="Rules by which an open incident suppresses the notifications of others."
    )
    escalations: tuple[EscalationSettings, ...] = Field(
        default=(), description="Further receivers of the incidents that nobody acknowledges in time."
    )
    digests: tuple[DigestSettings, ...] = Field(
        default=(), description="Daily summaries of the incidents for which nobody is paged."
    )
    time_intervals: dict[str, TimeIntervalSettings] = Field(
        default_factory=dict, description="Time intervals by name, for mute_times and active_times of routes."
    )
    repeat_interval_s: float = Field(
        default=4 * 3600.0,
        gt=0,
        description="Seconds after which an open incident is sent again even if nothing changed. Higher values repeat "
        "notifications less often.",
    )
    group_by: tuple[str, ...] = Field(
        default=UNGROUPED,
        description='Labels whose values must be equal for incidents to share a message. ["..."] gives each incident a '
        "message of its own, and [] groups all incidents of a route.",
    )
    group_wait_s: float = Field(
        default=30.0,
        ge=0,
        description="Seconds from the first news of a group to its message. Higher values collect more incidents in one "
        "message, but notify later.",
    )
    group_interval_s: float = Field(
        default=300.0,
        ge=0,
        description="Minimum seconds between two messages of a group. Higher values send fewer messages, but notify later.",
    )
    incidents_max: int = Field(
        default=10_000, ge=1, description="Maximum number of incidents whose notifications and labels are stored."
    )
    stored_alerts_max: int = Field(
        default=2_000,
        ge=1,
        description="Maximum number of incidents whose newest revision is stored to repeat it, or to send it when a "
        "silence, a mute time or an inhibition ends. Incidents beyond this number wait for their next revision.",
    )
    silences_max: int = Field(
        default=1_000,
        ge=1,
        description="Maximum number of stored silences. Beyond this number, the silences that end first are dropped.",
    )
    notices_max: int = Field(
        default=500,
        ge=1,
        description="Maximum number of digests and deployments that receivers have not accepted yet. Beyond this "
        "number, the oldest are dead-lettered.",
    )

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of all labels that a matcher may have."""
        return (*INCIDENT_LABELS, *sorted({name for rule in self.labels for name in rule.labels}))

    @property
    def deployment_receivers(self) -> tuple[str, ...]:
        """Names of the receivers to which deployments are sent too."""
        return tuple(receiver.name for receiver in self.receivers if receiver.receives_deployments)

    @property
    def label_rules(self) -> list[LabelRule]:
        """The labels of the configuration, with their matchers."""
        return [LabelRule(parse_matchers(*rule.matchers), rule.labels) for rule in self.labels]

    def fallbacks(self, receiver: str) -> list[str]:
        """Return the fallback of a receiver, the fallback of this fallback, and so on."""
        direct = {settings.name: settings.fallback for settings in self.receivers}
        chain: list[str] = []
        while (fallback := direct[receiver]) is not None and fallback not in chain:
            chain.append(fallback)
            receiver = fallback
        return chain

    def all_routes(self) -> Iterator[Route]:
        """Yield all routes, outer routes before their nested routes."""
        remaining = list(self.routes)
        while remaining:
            route = remaining.pop(0)
            yield route
            remaining.extend(route.routes)

    def _unknown_interval(self, name: str) -> str:
        solution = did_you_mean(name, self.time_intervals) if self.time_intervals else "add it to route.time_intervals"
        return f"unknown time interval {name!r}; {solution}"

    @model_validator(mode="after")
    def _check_label_names(self) -> Self:
        sources = [(f"route {route.name!r}", route.matchers) for route in self.all_routes()]
        sources += [(f"labels[{index}]", rule.matchers) for index, rule in enumerate(self.labels)]
        sources += [(f"inhibit[{index}]", rule.source + rule.target) for index, rule in enumerate(self.inhibit)]
        sources += [(f"escalation {escalation.name!r}", escalation.matchers) for escalation in self.escalations]
        sources += [(f"digest {digest.name!r}", digest.matchers) for digest in self.digests]
        names = [(source, [matcher.label for matcher in parse_matchers(*texts)]) for source, texts in sources]
        names += [(f"inhibit[{index}].equal", list(rule.equal)) for index, rule in enumerate(self.inhibit)]
        groups = [("group_by", self.group_by)]
        groups += [(f"route {route.name!r}: group_by", route.group_by or ()) for route in self.all_routes()]
        names += [(source, list(labels)) for source, labels in groups if labels != UNGROUPED]
        for source, labels in names:
            try:
                check_label_names(labels, self.label_names)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        known = [receiver.name for receiver in self.receivers]
        duplicates = {name for name in known if known.count(name) > 1}
        if duplicates:
            raise ValueError(f"two receivers have the name {min(duplicates)!r}; give each its own name")
        names = [DEFAULT_ROUTE]
        _check_receivers("default_receivers", self.default_receivers, known)
        for receiver in self.receivers:
            if receiver.fallback is not None:
                _check_receivers(f"receiver {receiver.name!r}: fallback", (receiver.fallback,), known)
                if receiver.fallback == receiver.name:
                    raise ValueError(f"receiver {receiver.name!r} is its own fallback; name another receiver")
        for route in self.all_routes():
            if route.name in names:
                raise ValueError(
                    f"two routes have the name {route.name!r}; give each its own name ({DEFAULT_ROUTE!r} is reserved)"
                )
            names.append(route.name)
            _check_receivers(f"route {route.name!r}", route.receivers, known)
            for interval in (*route.mute_times, *route.active_times):
                if interval not in self.time_intervals:
                    raise ValueError(f"route {route.name!r}: {self._unknown_interval(interval)}")
        return self

    @model_validator(mode="after")
    def _check_escalations(self) -> Self:
        names = [DEFAULT_ROUTE, *(route.name for route in self.all_routes())]
        for escalation in self.escalations:
            if escalation.name in names:
                raise ValueError(
                    f"escalation {escalation.name!r} has the name of a route or of another escalation; give each its own "
                    "name"
                )
            names.append(escalation.name)
            known = [receiver.name for receiver in self.receivers]
            _check_receivers(f"escalation {escalation.name!r}", escalation.receivers, known)
        return self

    @model_validator(mode="after")
    def _check_digests(self) -> Self:
        kinds = {receiver.name: receiver.kind for receiver in self.receivers}
        names = [digest.name for digest in self.digests]
        for digest in self.digests:
            if names.count(digest.name) > 1:
                raise ValueError(f"two digests have the name {digest.name!r}; give each its own name")
            _check_receivers(f"digest {digest.name!r}", digest.receivers, list(kinds))
            for receiver in digest.receivers:
                if kinds[receiver] not in DIGEST_DESTINATIONS:
                    raise ValueError(
                        f"digest {digest.name!r}: the receiver {receiver!r} cannot send a digest, because it is of the "
                        f"kind {kinds[receiver]}; use a receiver of the kind {', '.join(DIGEST_DESTINATIONS)}"
                    )
        return self


def _check_receivers(source: str, receivers: tuple[str, ...], known: list[str]) -> None:
    for receiver in receivers:
        if receiver not in known:
            raise ValueError(
                f"{source} names receiver {receiver!r}, which does not exist; add it to route.receivers "
                f"(known receivers: {', '.join(known) or 'none'})"
            )
