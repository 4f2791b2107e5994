"""The last known good version: the target of a rollback, computed from earlier deployments and incidents.

A version is known to be good if it was live for long enough, no incident of its subject began in that time, and it was
not rolled back. The newest such version before the cause is selected. If there is none, the newest version without a
known problem is assumed to be good. Only stored deployments and incidents are considered.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.correlate.deployments.deployments import RollbackIndex, component_of
from pipeline.wording import duration
from schemas.deployment import Deployment
from schemas.incident import Severity
from schemas.timestamp import date_minute


@dataclass(frozen=True, slots=True)
class KnownGood:
    """Version to roll back to.

    ``live_ms`` and ``live_until`` are the duration and the end of the period in which it was live without an incident.
    Both are None if the version is only assumed to be good. ``passed_over`` contains one line per newer version that
    was not selected, with the reason. ``is_bad`` means that this version is bad too, but no version is better.
    """

    PROVEN_MS: ClassVar[int] = 600_000
    """Minimum time (ms) for which a version must have been live, because detecting a failure takes minutes."""

    PASSED_OVER_MAX: ClassVar[int] = 3
    """Maximum number of passed-over versions that are listed, newest first."""

    version: str
    live_ms: int | None = None
    live_until: int | None = None
    passed_over: tuple[str, ...] = ()
    is_bad: bool = False

    @property
    def description(self) -> str:
        """Description of the version, including the time for which it was live without an incident.

        >>> KnownGood("v41", 273_600_000, 1795489900000).description
        'v41 (last known good: live 3 d 4 h without an incident until 2026-11-24 03:11Z)'
        >>> KnownGood("v41").description
        'v41'
        """
        if self.live_ms is None or self.live_until is None:
            return self.version
        live, until = duration(self.live_ms / 1000), date_minute(self.live_until)
        return f"{self.version} (last known good: live {live} without an incident until {until}Z)"

    @classmethod
    def find(
        cls,
        cause: Deployment,
        deployments: Iterable[Deployment],
        incidents: Iterable[tuple[int, Severity]],
        start_error_ms: int,
    ) -> "KnownGood | None":
        """Return the version to roll back to, or None if no earlier version is known.

        Parameters
        ----------
        cause
            The deployment to roll back.
        deployments
            All stored deployments that affect the subject, in order of time, including the cause.
        incidents
            Start (Unix ms) and severity of the subject's other incidents. A P4 does not count against any version.
        start_error_ms
            Error of the estimated start of an incident. An incident also counts against a version that went live within
            this time after the incident's start.
        """
        line = [deployment for deployment in deployments if component_of(deployment) == component_of(cause)]
        bad = dict(_failed_versions(line, incidents, start_error_ms)) | dict(_reverted_versions(line))
        periods = list(_live_periods(cause, line))
        versions = [version for version in dict.fromkeys(name for name, _ in periods) if version != cause.to_version]
        known_periods = {
            version: [period for name, period in periods if name == version and period is not None]
            for version in versions
        }
        live_ms = {version: sum(end - begin for begin, end in known_periods[version]) for version in versions}
        problems = {version: bad.get(version) or _describe_short_life(live_ms[version]) for version in versions}

        def passed_over(count: int) -> tuple[str, ...]:
            return tuple(f"{version} {problems[version]}" for version in versions[:count])[: cls.PASSED_OVER_MAX]

        for index, version in enumerate(versions):
            if version not in bad and live_ms[version] >= cls.PROVEN_MS:
                until = max(end for _, end in known_periods[version])
                return cls(version, live_ms[version], until, passed_over(index))
        for index, version in enumerate(versions):
            if version not in bad:
                return cls(version, passed_over=passed_over(index))
        return None if not versions else cls(versions[0], passed_over=passed_over(len(versions)), is_bad=True)


def find_rollback(
    cause: Deployment | None, known_good: KnownGood | None, deployments: Iterable[Deployment]
) -> Deployment | None:
    """Return the first deployment that reverts the cause or restores the known good version, or None."""
    if cause is None:
        return None
    for deployment in deployments:
        is_after = (deployment.timestamp, deployment.deployment_id) > (cause.timestamp, cause.deployment_id)
        restores = (
            known_good is not None
            and deployment.to_version == known_good.version
            and component_of(deployment) == component_of(cause)
        )
        if is_after and (restores or RollbackIndex.reverts(deployment, cause)):
            return deployment
    return None


def _describe_short_life(live_ms: int) -> str:
    return f"was live for only {duration(live_ms / 1000)}" if live_ms else "is not known to have been live"


def _live_periods(cause: Deployment, line: Sequence[Deployment]) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Yield the versions before the cause, newest first, with the start and end of each live period, if known."""
    position = (cause.timestamp, cause.deployment_id)
    before = [deployment for deployment in line if (deployment.timestamp, deployment.deployment_id) < position]
    later = cause
    for earlier in reversed(before):
        version = _deployed_version(earlier, before)
        if later.from_version is not None and later.from_version != version:
            # A deployment in between was not reported, so the end of the earlier version is unknown.
            yield later.from_version, None
            if version is not None:
                yield version, None
        elif version is not None:
            yield version, (earlier.timestamp, later.timestamp)
        later = earlier
    if later.from_version is not None:
        yield later.from_version, None


def _reverted_versions(line: Sequence[Deployment]) -> Iterator[tuple[str, str]]:
    """Yield the versions that were rolled back. Deploying a version again does not count as reverting its rollback."""
    for index, deployment in enumerate(line):
        version = _deployed_version(deployment, line)
        is_rollback = any(RollbackIndex.reverts(deployment, earlier) for earlier in line[:index])
        if version is not None and not is_rollback and any(RollbackIndex.reverts(other, deployment) for other in line):
            yield version, "was rolled back"


def _failed_versions(
    line: Sequence[Deployment], incidents: Iterable[tuple[int, Severity]], start_error_ms: int
) -> Iterator[tuple[str, str]]:
    """Yield the versions that were live when an incident began. Incidents before the first deployment are ignored."""
    for started_at, severity in sorted(incidents, key=lambda incident: incident[0], reverse=True):
        if severity == "P4":
            continue
        live = [deployment for deployment in line if deployment.timestamp <= started_at + start_error_ms]
        version = _deployed_version(live[-1], live) if live else None
        if version is not None:
            yield version, f"had an incident at {date_minute(started_at)}Z"


def _deployed_version(deployment: Deployment, line: Sequence[Deployment]) -> str | None:
    """Return the version that a deployment installs. For a rollback without a version, return the restored version."""
    if deployment.to_version is not None or deployment.rollback_of is None:
        return deployment.to_version
    return next((other.from_version for other in line if other.deployment_id == deployment.rollback_of), None)
