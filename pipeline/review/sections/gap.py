"""Detection gap: the time to detection, the detector, and possible earlier detectors."""

from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, code_list
from pipeline.review.material import Material
from pipeline.review.sections.monitoring import unmonitored_signals
from pipeline.wording import duration
from schemas.timestamp import date_time

LONG_GAP_S = 600
"""Maximum detection gap, in seconds, that needs no action item."""


def write_gap(material: Material) -> list[str]:
    """Write the lines of the section."""
    incident = material.incident
    times = f"Started {date_time(incident.started_at)} (estimate), detected {date_time(incident.detected_at)}"
    lines = [f"{times}: **{duration(incident.detection_gap_s)}**."]
    first = min(incident.evidence, key=lambda line: (line.detected_at, line.drift_id), default=None)
    if first is not None:
        delay = duration((first.detected_at - first.started_at) / 1000)
        lines.append(
            f"Detected by {code(first.detector)} on {code(first.signal)} ({first.tier} tier), {delay} after that signal left "
            "its baseline."
        )
    lines.append(_acknowledgement(material))
    clues = _clues(material) or ["To be filled in: what could have detected it sooner. [technical lead]"]
    return [f"- {text}" for text in (*lines, *clues)]


def has_only_tickets(material: Material) -> bool:
    """Return whether no signal of the incident could page."""
    return bool(material.incident.evidence) and all(line.tier != "page" for line in material.incident.evidence)


def _acknowledgement(material: Material) -> str:
    acknowledged_at = material.first_logged_at("acknowledge")
    if acknowledged_at is None:
        return "No command acknowledged it. To be filled in: when a person first looked at it. [person on call]"
    delay = duration((acknowledged_at - material.incident.detected_at) / 1000)
    return f"A person acknowledged it at {date_time(acknowledged_at)}, {delay} after the detection."


def _clues(material: Material) -> list[str]:
    """Return lines about signals that moved earlier and about signals that are not monitored."""
    incident = material.incident
    drift_ids = {line.drift_id for line in incident.evidence}
    earlier = sorted(
        {
            drift.signal
            for drift in material.drifts
            if drift.drift_id not in drift_ids
            and drift.subject == incident.subject
            and drift.detected_at < incident.detected_at
        }
    )
    clues = []
    if has_only_tickets(material):
        clues.append("All its signals are in the ticket tier, so it paged nobody.")
    if earlier:
        clues.append(f"Detected earlier, but not part of the incident: {code_list(earlier)}. Was it an early warning?")
    mode = failure_modes.MODES.get(incident.failure_mode)
    missing = unmonitored_signals(mode.layer, material) if mode else []
    if mode and missing:
        clues.append(f"Not monitored in the same layer ({mode.layer}): {code_list(missing)}.")
    return clues
