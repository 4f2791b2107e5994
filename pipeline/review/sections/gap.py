"""Detection gap: how long nobody knew, what saw it in the end, and what could have seen it sooner."""

from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, codes, moment
from pipeline.review.material import Material
from pipeline.review.watched import unwatched
from pipeline.wording import duration

LONG_GAP_S = 600
"""Seconds: a longer gap asks for something that sees it sooner."""


def gap(material: Material) -> list[str]:
    """The lines of the section."""
    incident = material.incident
    lines = [
        (
            f"- Began {moment(incident.started_at)} (estimate), detected {moment(incident.detected_at)}: "
            f"**{duration(incident.detection_gap_s)}**."
        )
    ]
    first = min(incident.evidence, key=lambda line: (line.detected_at, line.drift_id), default=None)
    if first is not None:
        own = duration((first.detected_at - first.started_at) / 1000)
        lines.append(
            f"- Seen by {code(first.detector)} in {code(first.signal)} ({first.tier} tier), {own} after that signal left its "
            "baseline."
        )
    shown = [*_tiers(material), *_sooner(material)]
    if not shown:
        shown = ["What could have seen it sooner no message shows. To be filled in. [technical lead]"]
    return [*lines, *(f"- {text}" for text in (*_people(material), *shown))]


def only_tickets(material: Material) -> bool:
    """Whether nothing of an incident could page anybody."""
    return bool(material.incident.evidence) and all(line.tier != "page" for line in material.incident.evidence)


def _people(material: Material) -> list[str]:
    taken = material.logged("acknowledge")
    if taken is None:
        return ["No command acknowledges it, so when a person first looked is to be filled in. [person on call]"]
    late = duration((taken - material.incident.detected_at) / 1000)
    return [f"A person acknowledged it at {moment(taken)}, {late} after the detection."]


def _tiers(material: Material) -> list[str]:
    if only_tickets(material):
        return ["All of its signals are of the ticket tier: it paged nobody, by what they may do at most."]
    return []


def _sooner(material: Material) -> list[str]:
    """What else moved first, and what is not watched."""
    incident = material.incident
    ids = {line.drift_id for line in incident.evidence}
    earlier = sorted(
        {
            drift.signal
            for drift in material.drifts
            if drift.drift_id not in ids
            and drift.subject == incident.subject
            and drift.detected_at < incident.detected_at
        }
    )
    found = []
    if earlier:
        found.append(f"Detected before it, and not part of it: {codes(earlier)}. A sign that could have been acted on?")
    mode = failure_modes.MODES.get(incident.failure_mode)
    missing = unwatched(mode.layer, material) if mode else []
    if missing:
        found.append(f"Of the same layer ({mode.layer if mode else ''}) nothing watches {codes(missing)}.")
    return found
