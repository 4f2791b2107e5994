"""The last known good version: where a rollback leads, by the deployments and incidents that came before.

A version is known to be good if it was live for a while, no incident of its subject began in that time, and nobody rolled
it back. Going back from the cause, the first such version is taken. Where there is none, the first of which nothing bad is
known is assumed. How far this looks back is as far as deployments and incidents are kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.correlate.deployments.deployments import component_of, reverts
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Severity
from schemas.timestamp import date_minute

PROVEN_MS = 600_000
"""Milliseconds that a version must have been live: a failure takes minutes to be seen, so a shorter life says nothing."""

PASSED_OVER_MAX = 3
"""Versions that are named as passed over; going back further, the rest is left out."""


@dataclass(frozen=True, slots=True)
class PastIncident:
    """Another incident of the subject, as far as it says something of the versions that were live."""

    started_at: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class KnownGood:
    """Where to go back to.

    ``live_ms`` and ``until`` say for how long it was live, and until when, without an incident; None if it is only assumed
    to be good. ``passed_over`` has a line for each newer version, why it is not taken; ``is_bad`` if this one is bad as well,
    for want of a better one.
    """

    version: str
    live_ms: int | None = None
    until: int | None = None
    passed_over: tuple[str, ...] = ()
    is_bad: bool = False

    @property
    def description(self) -> str:
        """The version, with what is known of it.

        >>> Good("v41", 273_600_000, 1795489900000).told
        'v41 (last known good: live 3 d 4 h without an incident until 2026-11-24 03:11Z)'
        >>> Good("v41").told
        'v41'
        """
        if self.live_ms is None or self.until is None:
            return self.version
        lived = duration(self.live_ms / 1000)
        return f"{self.version} (last known good: live {lived} without an incident until {date_minute(self.until)}Z)"


def last_known_good(
    cause: Deployment, deployments: Iterable[Deployment], incidents: Iterable[PastIncident], start_error_ms: int
) -> KnownGood | None:
    """The version to go back to from a cause; None if no version before it is known.

    Parameters
    ----------
    cause
        The deployment to be taken back.
    deployments
        All kept that touch the subject, in order of time, the cause among them.
    incidents
        The other incidents of the subject. One of P4 speaks against no version.
    start_error_ms
        How far the estimated start of an incident may be off: a version that went live so shortly after it is the one that
        it speaks against.
    """
    line = [each for each in deployments if component_of(each) == component_of(cause)]
    bad = dict(_failed(line, incidents, start_error_ms)) | dict(_rolled_back(line))
    periods = list(_periods(cause, line))
    versions = [each for each in dict.fromkeys(version for version, _ in periods) if each != cause.to_version]
    lives = {each: [life for version, life in periods if version == each and life is not None] for each in versions}
    live_ms = {version: sum(end - begin for begin, end in lives[version]) for version in versions}
    why_not = {version: bad.get(version) or _too_little(live_ms[version]) for version in versions}

    def passed_over(place: int) -> tuple[str, ...]:
        return tuple(f"{version} {why_not[version]}" for version in versions[:place])[:PASSED_OVER_MAX]

    for place, version in enumerate(versions):
        if version not in bad and live_ms[version] >= PROVEN_MS:
            until = max(end for _, end in lives[version])
            return KnownGood(version, live_ms[version], until, passed_over(place))
    for place, version in enumerate(versions):
        if version not in bad:
            return KnownGood(version, passed_over=passed_over(place))
    return None if not versions else KnownGood(versions[0], passed_over=passed_over(len(versions)), is_bad=True)


def _too_little(live_ms: int) -> str:
    return f"was live for {duration(live_ms / 1000)} only" if live_ms else "is not known to have been live"


def _periods(cause: Deployment, line: Sequence[Deployment]) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """The versions that were live before the cause, the newest first, and from when until when; None if nobody knows."""
    before = [each for each in line if (each.timestamp, each.deployment_id) < (cause.timestamp, cause.deployment_id)]
    later = cause
    for earlier in reversed(before):
        version = _brought(earlier, before)
        if later.from_version is not None and later.from_version != version:
            # Something was deployed in between of which nobody told: when the earlier version ended is unknown.
            yield later.from_version, None
            if version is not None:
                yield version, None
        elif version is not None:
            yield version, (earlier.timestamp, later.timestamp)
        later = earlier
    if later.from_version is not None:
        yield later.from_version, None


def _rolled_back(line: Sequence[Deployment]) -> Iterator[tuple[str, str]]:
    """The versions that were taken back. A rollback is not itself taken back by a second attempt at what it took back."""
    for place, deployment in enumerate(line):
        version = _brought(deployment, line)
        is_rollback = any(reverts(deployment, each) for each in line[:place])
        if version is not None and not is_rollback and any(reverts(each, deployment) for each in line):
            yield version, "was rolled back"


def _failed(
    line: Sequence[Deployment], incidents: Iterable[PastIncident], start_error_ms: int
) -> Iterator[tuple[str, str]]:
    """The versions during whose life an incident began. One that was inherited from the version before is not theirs."""
    for past in sorted(incidents, key=lambda each: each.started_at, reverse=True):
        if past.severity == "P4":
            continue
        live = [each for each in line if each.timestamp <= past.started_at + start_error_ms]
        version = _brought(live[-1], live) if live else None
        if version is not None:
            yield version, f"had an incident at {date_minute(past.started_at)}Z"


def _brought(deployment: Deployment, line: Sequence[Deployment]) -> str | None:
    """The version that a deployment brought; of a rollback that names none, the one before what it took back."""
    if deployment.to_version is not None or deployment.rollback_of is None:
        return deployment.to_version
    return next((each.from_version for each in line if each.deployment_id == deployment.rollback_of), None)
