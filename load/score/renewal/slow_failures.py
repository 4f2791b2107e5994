"""Failures that take days: one that creeps below what a day shows, and changes that three days of records show."""

from dataclasses import dataclass

from load.score.assistant import Change, LiveSource, PlayedEvent
from load.score.renewal.planted_changes import continue_stream, find_claims, first_alert_h, select_planted
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
    stream, event_ms = continue_stream(source, settings)
    change = Change(signal=CREEP_SIGNAL, how="per_hour", amount=CREEP_PER_DAY / 24)
    event = PlayedEvent("creep", event_ms, changes=(change,))
    fired = [drift for drifts in stream.play(event, source.start_ms + DAYS * DAY_MS) for drift in drifts]
    monitor = stream.monitor
    return CreepResult(
        _found_day(fired, CREEP_SIGNAL, event_ms), monitor is not None and CREEP_SIGNAL in monitor.open_alerts
    )


def play_slow(source: LiveSource, settings: DetectSettings) -> list[SlowResult]:
    """Play changes that three days of records show, with daily renewals and without."""
    lead, event_ms = continue_stream(source, settings)
    if lead.monitor is None:
        return []
    planted = select_planted(find_claims(lead.monitor.baseline, settings, SLOW_DAYS * DAY_S))
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
        renewed_days, frozen_days = (_found_day(drifts, claim.signal, event_ms) for drifts in (renewed, frozen))
        results.append(SlowResult(claim.signal, claim.size, renewed_days, frozen_days, len(renewed)))
    return results


def _found_day(fired: list[Drift], signal: str, event_ms: int) -> float | None:
    found_h = first_alert_h(fired, signal, event_ms)
    return None if found_h is None else found_h / 24
