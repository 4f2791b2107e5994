"""Changes of the size that the tool claims to detect, planted in a live stream."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from load.score.assistant import Change, LiveSource, LiveStream, PlayedEvent
from pipeline.detect.offline import SmallestChange, smallest_changes
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import channels
from schemas.baseline import Baseline
from schemas.drift import MINUTE_MS, Drift
from schemas.topics import DAY_MS, HOUR_MS

PLANTED = ("confidence", "latency_ms", "refused")
"""Signals whose changes are planted: two values and a rate."""

LARGE, SMALL = 1.2, 0.5
"""Planted sizes, relative to the smallest change that the tool claims to detect."""

LEAD_MS = 30 * MINUTE_MS
"""Milliseconds between a checkpoint and the planted change. The baseline of the day is then in use."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The smallest change of a signal that is claimed to be detected within a day.

    Attributes
    ----------
    size
        The difference from the normal level: of the mean for a rate, of all values for a value.
    normal
        Mean of a rate, or 0 for a value.
    """

    signal: str
    size: float
    normal: float

    def change(self, factor: float) -> Change:
        """Return a change of ``factor`` times the claimed size."""
        if self.normal:
            return Change(signal=self.signal, how="probability", amount=min(1.0, self.normal + factor * self.size))
        return Change(signal=self.signal, how="offset", amount=factor * self.size)


@dataclass(frozen=True, slots=True)
class PlantedChange:
    """A planted change that was to be found: its signal, its claim, and the hours after which it was, or None."""

    signal: str
    size: float
    found_h: float | None


@dataclass(frozen=True, slots=True)
class PlantedDay:
    """Results of the changes planted after a number of days.

    Attributes
    ----------
    claims
        Claims by signal of all values that may alert, as a share of the value's range between its 10 % and 90 % quantiles.
        Infinite if no change is detectable.
    large
        The changes of 1.2 times the claimed size.
    small_pages
        Pages after changes of half the claimed size.
    """

    day: int
    claims: dict[str, float]
    large: tuple[PlantedChange, ...]
    small_pages: tuple[str, ...]


def find_claims(baseline: Baseline, settings: DetectSettings, within_s: int = DAY_S) -> dict[str, Claim]:
    """Return the claims of a baseline by signal: of all changes in bad directions, the one nearest to normal."""
    claims: dict[str, Claim] = {}
    for change in smallest_changes(baseline, settings, (within_s,)):
        if change.size is None or change.tier == "cause" or change.channel not in ("rate", "location"):
            continue
        claim = _claim(change, baseline)
        known = claims.get(claim.signal)
        if known is None or abs(claim.size) < abs(known.size):
            claims[claim.signal] = claim
    return claims


def _claim(change: SmallestChange, baseline: Baseline) -> Claim:
    learned = baseline.signals[change.signal]
    normal = learned.channels["rate"].mean if learned.kind == "rate" else 0.0
    return Claim(change.signal, (change.size or 0.0) - normal, normal)


def select_planted(claims: dict[str, Claim]) -> list[Claim]:
    """Return the claims of the signals whose changes are planted."""
    return [claims[name] for name in PLANTED if name in claims]


def continue_stream(source: LiveSource, settings: DetectSettings) -> tuple[LiveStream, int]:
    """Return a stream that is healthy until the event after its learned days, and the time of this event in Unix ms."""
    stream, event_ms = LiveStream(source, source.learn(settings), settings), source.end_ms + LEAD_MS
    for _ in stream.play(PlayedEvent("healthy", event_ms), event_ms):
        pass
    return stream, event_ms


def first_alert_h(fired: Iterable[Drift], signal: str, event_ms: int) -> float | None:
    """Return the hours from an event to the first alert of a signal, or None if there is none."""
    times = (drift.detected_at for drift in fired if drift.signal == signal and drift.tier != "cause")
    return min(((time_ms - event_ms) / HOUR_MS for time_ms in times), default=None)


def plant(source: LiveSource, settings: DetectSettings) -> PlantedDay:
    """Plant large and small changes of three signals at once after the learned days, each in a copy of the stream."""
    stream, event_ms = continue_stream(source, settings)
    if stream.monitor is None:
        return PlantedDay(source.days, {}, (), ())
    baseline = stream.monitor.baseline
    claims = find_claims(baseline, settings)
    planted = select_planted(claims)
    found = _play(stream.copy(), PlayedEvent("large", event_ms, changes=_changes(planted, LARGE)), until_all_fired=True)
    large = tuple(
        PlantedChange(claim.signal, claim.size, first_alert_h(found, claim.signal, event_ms)) for claim in planted
    )
    small = _play(stream.copy(), PlayedEvent("small", event_ms, changes=_changes(planted, SMALL)))
    pages = tuple(_describe(drift, event_ms) for drift in small if drift.tier == "page")
    return PlantedDay(source.days, _relative_claims(baseline, claims), large, pages)


def _changes(planted: Sequence[Claim], factor: float) -> tuple[Change, ...]:
    return tuple(claim.change(factor) for claim in planted)


def _play(stream: LiveStream, event: PlayedEvent, *, until_all_fired: bool = False) -> list[Drift]:
    """Play an event for a day, or until all of its signals have alerted. Return the drifts that fired."""
    fired: list[Drift] = []
    waiting = {change.signal for change in event.changes}
    for drifts in stream.play(event, event.event_ms + DAY_MS):
        fired += drifts
        waiting -= {drift.signal for drift in drifts if drift.tier != "cause"}
        if until_all_fired and not waiting:
            break
    return fired


def _relative_claims(baseline: Baseline, claims: dict[str, Claim]) -> dict[str, float]:
    relative = {}
    for name, learned in baseline.signals.items():
        signal = channels.signal_by_name(name, learned.kind)
        if (
            signal is not None
            and learned.knots is not None
            and {"page", "ticket"} & set(channels.tiers(signal, "location"))
        ):
            last = len(learned.knots) - 1
            width = learned.knots[round(0.9 * last)] - learned.knots[round(0.1 * last)]
            claim = claims.get(name)
            relative[name] = abs(claim.size) / width if claim is not None and width > 0 else float("inf")
    return relative


def _describe(drift: Drift, event_ms: int) -> str:
    return f"{drift.signal} {drift.channel} {drift.segment} at {(drift.detected_at - event_ms) / HOUR_MS:+.1f} h"
