"""Recognition: the failure mode of an incident, by which of its drifts moved together."""

from collections.abc import Collection, Iterable

from pipeline.correlate.playbook import FailureMode, failure_modes
from schemas.drift import Drift
from schemas.incident import Suspect


def recognise_failure_mode(
    lead: Drift, drifts: Iterable[Drift], cause: Suspect | None, window_ms: float, *, outside: bool
) -> FailureMode:
    """The mode that an incident is one of.

    Parameters
    ----------
    lead
        The drift that the incident is named after: a mode that it is no part of is not recognised.
    drifts
        All of the incident, and the workload drifts of its subject.
    cause
        The most likely cause, if one stands out: its kind can be a part too.
    window_ms
        What began within this of the lead moved together with it; bigger recognises more.
    outside
        Whether the cause may lie outside: a provider serves the subject, and no change of ours explains the incident.

    Returns
    -------
    Mode
        The first of the table whose parts have all moved; else the lead's own.
    """
    near = (each for each in drifts if abs(each.started_at - lead.started_at) <= window_ms)
    moved = {name for drift in near for name in _names(drift)} | _names(lead)
    if cause is not None:
        moved.add(cause.kind)
    named = _names(lead)
    for mode in failure_modes.MODES.values():
        if any(_fits(each, named, moved, outside=outside) for each in mode.together):
            return mode
    return failure_modes.failure_mode_of(lead)


def _fits(together: failure_modes.Signature, named: set[str], moved: Collection[str], *, outside: bool) -> bool:
    return (
        not named.isdisjoint(together.moved)
        and all(name in moved for name in together.moved)
        and not any(name in moved for name in together.still)
        and (outside or not together.outside)
    )


def _names(drift: Drift) -> set[str]:
    names = {failure_modes.failure_mode_of(drift).name, drift.signal, f"{drift.signal} {drift.side}"}
    return names | {f"of one {drift.segment.partition('=')[0]}"} if drift.segment else names
