"""Monitoring: the signals in the subject's baseline, and the signals that moved."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pipeline.detect.signals import catalogue, channels
from pipeline.review.markdown import code_list
from pipeline.review.material import Material
from schemas.drift import Layer

MonitoringState = Literal["moved", "steady", "monitored", "not testable", "sampled", "not reported", "unknown"]
"""State of a signal during the incident. The state is ``monitored`` if no remaining message shows whether the signal
moved."""

_TEXTS: Mapping[MonitoringState, str] = {
    "moved": "Moved",
    "steady": "Monitored, and stayed within the baseline",
    "monitored": "Monitored, but no drift messages are left to show whether it moved",
    "not testable": "Reported but not monitored, because it was still moving while its baseline was learned",
    "sampled": "Reported but not monitored, because its baseline was learned from records that are sampled by outcome",
    "not reported": "Not in the baseline, so not monitored",
    "unknown": "Unknown, because there is no baseline",
}


def monitoring_state(signal: str, material: Material) -> MonitoringState:
    """Return the state of a signal during the incident."""
    incident, baseline = material.incident, material.baseline
    if any(line.signal == signal for line in incident.evidence):
        return "moved"
    if any(drift.signal == signal and drift.subject == incident.subject for drift in material.drifts):
        return "moved"
    if baseline is None:
        return "unknown"
    known = baseline.signals.get(signal)
    if known is None:
        return "not reported"
    monitored = [
        channel
        for name, channel in known.channels.items()
        if name != channels.OVERDUE or (known.ages is not None and known.ages.resets)
    ]
    if known.channels and all(channel.moving or not channel.count for channel in monitored):
        return "not testable"
    index = catalogue.SIGNAL_INDEX.get(signal)
    if baseline.sampled and index is not None and channels.depends_on_outcome(catalogue.SIGNALS[index]):
        return "sampled"
    return "steady" if material.drifts else "monitored"


def describe_monitoring(signals: Iterable[str], material: Material) -> str:
    """Describe the states of catalogue signals in sentences."""
    by_state: dict[MonitoringState, list[str]] = {}
    for signal in signals:
        by_state.setdefault(monitoring_state(signal, material), []).append(signal)
    return " ".join(f"{text}: {code_list(by_state[state])}." for state, text in _TEXTS.items() if state in by_state)


def unmonitored_signals(layer: Layer, material: Material, *, mode: str | None = None) -> list[str]:
    """Return the reportable signals of a layer or failure mode that are missing from the baseline."""
    return [
        signal.name
        for signal in catalogue.SIGNALS
        if signal.layer == layer
        and signal.section != "derived"
        and signal.role != "cause"
        and mode in (None, signal.failure_mode)
        and monitoring_state(signal.name, material) == "not reported"
    ]
