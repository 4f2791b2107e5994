"""Failures that take days: one that creeps below what a day shows, and changes that three days of records show."""

from dataclasses import dataclass

from load.score.assistant import Change, LiveSource, LiveStream, PlayedEvent
from load.score.renewal.planted_changes import LEAD_MS, PLANTED, find_claims
from load.score.renewal.services import DAYS
from pipeline.detect.settings import DAY_S, DetectSettings
from schemas.drift import Drift
from schemas.topics import DAY_MS

CREEP_DAY, CREEP_SIGNAL, CREEP_PER_DAY = 1, "confidence", -0.005
"""Days after which the confidence begins to sink, its signal, and by how much it sinks per day."""

SLOW_DAY, SLOW_DAYS = 7, 3
"""Days after which changes begin that need a number of days of records, and that number."""

SLOW_PLAYED_DAYS = 6


@dataclass(frozen=True, slots=True)
class CreepResult:
    """Result of a slow failure: the days until its first ticket or page, or None, and whether it is open at the end."""

    found_day: float | None
    is_open_at_end: bool


@dataclass(frozen=True, slots=True)
class SlowResult:
    """Days until a change of a signal was found, with daily renewals and without, and its number of drifts with them."""

    signal: str
    size: float
    renewed_days: float | None
    frozen_days: float | None
    drifts: int


def play_creep(source: LiveSource, settings: DetectSettings) -> CreepResult:
    """Let the confidence sink until the last day."""
    stream = LiveStream(source, source.learn(settings), settings)
    event_ms = source.end_ms + LEAD_MS
    change = Change(signal=CREEP_SIGNAL, how="per_hour", amount=CREEP_PER_DAY / 24)
    found_day: float | None = None
    for drifts in stream.play(PlayedEvent("creep", event_ms, changes=(change,)), source.start_ms + DAYS * DAY_MS):
        for drift in drifts:
            if found_day is None and drift.signal == CREEP_SIGNAL and drift.tier != "cause":
                found_day = (drift.detected_at - event_ms) / DAY_MS
    monitor = stream.monitor
    return CreepResult(found_day, monitor is not None and CREEP_SIGNAL in monitor.open_alerts)


def play_slow(source: LiveSource, settings: DetectSettings) -> list[SlowResult]:
    """Play changes that three days of records show, with daily renewals and without."""
    lead = LiveStream(source, source.learn(settings), settings)
    event_ms = source.end_ms + LEAD_MS
    for _ in lead.play(PlayedEvent("healthy", event_ms), event_ms):
        pass
    if lead.monitor is None:
        return []
    claims = find_claims(lead.monitor.baseline, settings, SLOW_DAYS * DAY_S)
    planted = [claims[name] for name in PLANTED if name in claims]
    event = PlayedEvent("slow", event_ms, changes=tuple(claim.change(1.0) for claim in planted))
    fired: dict[bool, list[Drift]] = {}
    for is_renewed in (True, False):
        stream = lead.copy()
        if not is_renewed:
            stream.stop_renewals()
        batches = stream.play(event, event_ms + SLOW_PLAYED_DAYS * DAY_MS)
        fired[is_renewed] = [drift for drifts in batches for drift in drifts if drift.tier != "cause"]
    results = []
    for claim in planted:
        renewed, frozen = (
            [drift for drift in fired[is_renewed] if drift.signal == claim.signal and not drift.segment]
            for is_renewed in (True, False)
        )
        results.append(
            SlowResult(claim.signal, claim.size, _days(renewed, event_ms), _days(frozen, event_ms), len(renewed))
        )
    return results


def _days(drifts: list[Drift], event_ms: int) -> float | None:
    return min(((drift.detected_at - event_ms) / DAY_MS for drift in drifts), default=None)
