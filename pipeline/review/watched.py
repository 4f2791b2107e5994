"""Watched: which signals the subject's baseline holds, so that something would have noticed, and which of them moved."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pipeline.detect.signals import catalogue
from pipeline.review.markdown import codes
from pipeline.review.material import Material
from schemas.drift import Layer

Watch = Literal["moved", "steady", "known", "not judged", "not reported", "unknown"]
"""``known`` is a signal that is watched, and of which no message at hand says whether it moved."""

_SAID: Mapping[Watch, str] = {
    "moved": "Moved",
    "steady": "Watched, and did not leave its baseline",
    "known": "Watched; whether it moved is not at hand any more",
    "not judged": "Reported, but not judged: it was still moving while its baseline was learned",
    "not reported": "Not in the baseline, so nothing watches",
    "unknown": "No baseline is at hand, so it cannot be said what of these is watched",
}


def watch(signal: str, material: Material) -> Watch:
    """What is known of one signal in the time of the incident."""
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
    if known.channels and all(channel.moving or not channel.count for channel in known.channels.values()):
        return "not judged"
    return "steady" if material.drifts else "known"


def told(signals: Iterable[str], material: Material) -> str:
    """What is known of some signals, in words.

    Names are those of the catalogue.
    """
    found: dict[Watch, list[str]] = {}
    for signal in signals:
        found.setdefault(watch(signal, material), []).append(signal)
    return " ".join(f"{words}: {codes(found[state])}." for state, words in _SAID.items() if state in found)


def unwatched(layer: Layer, material: Material, *, mode: str | None = None) -> list[str]:
    """Signals of a layer that records can carry and that the subject's baseline lacks; of one failure mode if named."""
    return [
        row.name
        for row in catalogue.SIGNALS
        if row.layer == layer
        and row.section != "derived"
        and row.role != "cause"
        and mode in (None, row.failure_mode)
        and watch(row.name, material) == "not reported"
    ]
