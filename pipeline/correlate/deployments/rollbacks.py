"""Rollbacks among many deployments: which takes back which, without comparing each with each."""

from collections import defaultdict
from collections.abc import Iterable

from pipeline.correlate.deployments.deployments import component_of, reverts
from pipeline.correlate.deployments.known_good import KnownGood
from schemas.deployment import Deployment

_Change = tuple[tuple[str, str | None, str | None], str | None, str | None]
"""What versions follow each other in, and two versions. No second version stands for any."""


class RollbackIndex:
    """Which of some deployments takes back which, as :func:`pipeline.correlate.deployments.deployments.takes_back` says.

    Parameters
    ----------
    deployments
        In order of time.
    """

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self._by_id: dict[str, Deployment] = {}
        self._taking_back: dict[str, list[Deployment]] = defaultdict(list)
        self._changes: dict[_Change, list[Deployment]] = defaultdict(list)
        self._backwards: dict[_Change, list[Deployment]] = defaultdict(list)
        for each in deployments:
            self._by_id[each.deployment_id] = each
            for version in {each.to_version, None}:
                self._changes[component_of(each), each.from_version, version].append(each)
            if each.rollback_of is not None:
                self._taking_back[each.rollback_of].append(each)
            else:
                self._backwards[component_of(each), each.to_version, each.from_version].append(each)

    def reverted(self, later: Deployment) -> Deployment | None:
        """The first deployment that a later one takes back; None if there is none."""
        if later.rollback_of is not None:
            found = [self._by_id[later.rollback_of]] if later.rollback_of in self._by_id else []
        else:
            found = self._changes.get((component_of(later), later.to_version, later.from_version), [])
        # The first of them is it, unless that is the deployment itself.
        return next((each for each in found[:2] if reverts(later, each)), None)

    def is_reverted(self, earlier: Deployment) -> bool:
        """Whether any deployment takes an earlier one back."""
        line, before, after = component_of(earlier), earlier.from_version, earlier.to_version
        found = (
            self._taking_back.get(earlier.deployment_id, []),
            self._backwards.get((line, before, after), []),
            self._backwards.get((line, before, None), []),
        )
        # The last of each is it, unless that is the deployment itself.
        return any(reverts(each, earlier) for some in found for each in some[-2:])


_OFF = ("off", "false", "disabled", "0", "0%")
"""Versions of a flag that switch a feature off."""


def find_rollback(cause: Deployment | None, back: KnownGood | None, later: list[Deployment]) -> Deployment | None:
    """The first of the later deployments that takes the cause back, or brings the version to go back to; None as yet."""
    if cause is None:
        return None
    for each in later:
        is_after = (each.timestamp, each.deployment_id) > (cause.timestamp, cause.deployment_id)
        brings_back = back is not None and each.to_version == back.version and component_of(each) == component_of(cause)
        if is_after and (brings_back or reverts(each, cause)):
            return each
    return None


def find_kill_switch_use(flag: str | None, later: list[Deployment]) -> Deployment | None:
    """The deployment that used the kill switch, of those into the incident; None if none did, or if it is not off now."""
    used = [each for each in later if flag is not None and (each.kind, each.name) == ("flag", flag)]
    return used[-1] if used and (used[-1].to_version or "").lower() in _OFF else None
