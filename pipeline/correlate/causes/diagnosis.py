"""Diagnosis: what failed, because of what, and what has been done about it, from all that is known of an incident."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes.canary import Split, split_of
from pipeline.correlate.causes.proximity import Onset
from pipeline.correlate.causes.recognition import recognised
from pipeline.correlate.causes.suspects import NOT_OURS, Moves, clear_suspect, deployment_of, suspects
from pipeline.correlate.deployments import (
    Deployments,
    Good,
    Past,
    Rollbacks,
    Served,
    is_declared,
    last_known_good,
    rollback_of,
    switched_off,
)
from pipeline.correlate.incidents import Facts
from pipeline.correlate.playbook import Mode, failure_modes
from pipeline.correlate.settings import CorrelateSettings
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect


@dataclass(frozen=True, slots=True)
class Known:
    """What correlate knows beside an incident's own facts.

    ``shifts`` are the workload drifts of its subject, ``others`` the other incidents of it: when they began, and how bad
    they are, speaks against versions. ``clock`` is the incident's, Unix ms: what is deployed later has not happened yet.
    """

    deployments: Deployments
    shifts: Sequence[Drift]
    others: Sequence[Facts]
    clock: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``earlier`` are the deployments up to the detection, within the look-back; ``later`` those until the end or now.

    ``taken_back`` has by the ids of later ones that are rollbacks what they take back. ``back`` is the version that a
    rollback brings back, ``split`` the traffic between versions, ``rollback`` and ``switched_off`` the deployments that
    contained it, where there are any.
    """

    mode: Mode
    suspects: list[Suspect]
    earlier: list[Deployment]
    later: list[Deployment]
    taken_back: dict[str, str]
    back: Good | None
    split: Split | None
    rollback: Deployment | None
    switched_off: Deployment | None


def diagnose(facts: Facts, served: Served, known: Known, settings: CorrelateSettings) -> Diagnosis:
    """Diagnose an incident; ``served`` says which deployments touch it."""
    until = known.clock if facts.resolved_at is None else min(known.clock, facts.resolved_at)
    earliest = facts.started_at - round(settings.lookback_s * 1000)
    earlier = list(known.deployments.of(served, earliest, facts.start_seen_at))
    later = list(known.deployments.of(served, facts.start_seen_at + 1, until))
    lead, shown = facts.decision.drift, [each.shown for each in facts.tracked.values()]
    first_uses = [each for each in facts.drifts if each.detector == "first_seen"]
    undeclared = [
        each
        for each in (*known.shifts, *first_uses)
        if not is_declared(each, known.deployments.of(served, 0, until))
    ]  # fmt: skip

    moves = Moves(facts.drifts, shown, undeclared, facts.membership.scope, len(facts.subjects))

    def suspected(mode: Mode) -> list[Suspect]:
        onset = Onset(facts.started_at, facts.start_seen_at, mode, settings.start_error_s)
        return suspects(onset, _in_effect(earlier, facts.started_at), moves, settings)

    found = suspected(failure_modes.mode_of(lead))
    clear = clear_suspect(found)
    outside = served.provider is not None and (clear is None or clear.kind in NOT_OURS)
    mode = recognised(lead, [*shown, *known.shifts], clear, settings.join_window_s * 1000, outside=outside)
    if mode != failure_modes.mode_of(lead):
        found = suspected(mode)
    cause, back, split = deployment_of(clear_suspect(found), earlier), None, None
    if cause is not None and cause.kind not in NOT_OURS:
        past = [Past(each.started_at, each.severity) for each in known.others]
        line = known.deployments.of(served, 0, until)
        back = last_known_good(cause, line, past, round(settings.start_error_s * 1000))
        split = split_of(cause, shown)
    rollback = rollback_of(cause, back, [*earlier, *later])
    off = switched_off(settings.kill_switches.get(facts.subject), later)
    return Diagnosis(mode, found, earlier, later, _taken_back(earlier, later), back, split, rollback, off)


def _taken_back(earlier: Iterable[Deployment], later: Sequence[Deployment]) -> dict[str, str]:
    rollbacks, found = Rollbacks([*earlier, *later]), {}
    for each in later:
        taken = rollbacks.taken_back(each)
        # A rollback may be of something older than what is kept.
        name = each.rollback_of or (None if taken is None else taken.deployment_id)
        if name is not None:
            found[each.deployment_id] = name
    return found


def _in_effect(deployments: Sequence[Deployment], started_at: int) -> list[Deployment]:
    """Those that can have caused it: not taken back before the start, and no rollback made because of it."""
    before = Rollbacks(each for each in deployments if each.timestamp <= started_at)
    every = Rollbacks(deployments)
    return [
        each
        for each in deployments
        if not before.is_taken_back(each) and (each.timestamp <= started_at or every.taken_back(each) is None)
    ]
