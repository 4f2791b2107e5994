"""The draft of a post-incident review, in the order of the playbook.

The draft is blameless: it asks for causes in the system. Every statement comes from a message. Information that no
message contains is marked "to be filled in" or "to be answered".
"""

from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, code_list, escape, table
from pipeline.review.material import Material
from pipeline.review.sections import SECTIONS
from pipeline.wording import duration
from schemas.incident import Incident
from schemas.timestamp import date_time

SIGNALS_MAX = 4
"""Maximum number of signals in the alternative text of the chart."""

_PREAMBLE = (
    "Blameless: it asks what in the system let this happen, not who. Every statement comes from a message on driftwire's "
    "topics. Information that no message contains is marked **to be filled in** or **to be answered**."
)


def write_review(material: Material, picture: str) -> str:
    """Write the draft, as Markdown.

    Parameters
    ----------
    material
        The messages about the incident.
    picture
        File name of the chart, in the same folder as the draft. Letters, digits, ``.``, ``_`` and ``-`` only.
    """
    incident = material.incident
    parts = [
        [f"# Post-incident review: {escape(incident.title)}", "", *_preamble(material)],
        table(("", ""), _facts(material)),
        ["## Summary", "", escape(incident.summary), "", f"![{escape(_alternative_text(material))}]({picture})"],
        *([f"## {title}", "", *write_section(material)] for title, write_section in SECTIONS),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _preamble(material: Material) -> list[str]:
    incident = material.incident
    lines = [f"> Draft from revision {incident.revision} of {code(incident.incident_id)}. {_PREAMBLE}"]
    if material.is_open:
        lines += [">", f"> **The incident is still open: this draft ends at {date_time(material.end)}.**"]
    return lines


def _facts(material: Material) -> list[tuple[str, str]]:
    incident, recovered_at = material.incident, material.recovered_at
    mode = failure_modes.MODES.get(incident.failure_mode)
    what = f"{mode.title if mode else 'unknown failure mode'} ({code(incident.failure_mode)})"
    scopes = (("environment", incident.environment), ("provider", incident.provider))
    where = [code(incident.subject), *(f"{name} {code(value)}" for name, value in scopes if value)]
    severity = f"**{incident.severity}** by the rule {code(incident.severity_rule)}: {escape(incident.severity_reason)}"
    rows = [
        ("what", f"{what} in {', '.join(where)}"),
        ("severity", severity),
        ("status", incident.status),
        ("started", f"{date_time(incident.started_at)} (estimate)"),
        ("detected", f"{date_time(incident.detected_at)}, {duration(incident.detection_gap_s)} after the start"),
    ]
    if recovered_at is not None:
        rows.append(("recovered", _since_start(recovered_at, incident)))
    if incident.resolved_at is not None:
        rows.append(("resolved", _since_start(incident.resolved_at, incident)))
    if incident.resolved_as is not None:
        rows.append(("resolved as", incident.resolved_as.replace("_", " ")))
    if incident.segments:
        rows.append(("segments", code_list(incident.segments)))
    people = (
        ("acknowledged by", incident.acknowledged_by),
        ("incident commander", incident.commander),
        ("technical lead", incident.technical_lead),
        ("communications lead", incident.communications_lead),
    )
    rows += [(role, escape(name) if name else "to be filled in (nobody is recorded)") for role, name in people]
    due = next((target for target in incident.response_targets if target.name == "review"), None)
    deadline = "no deadline for this severity" if due is None else f"{date_time(due.due_at)} ({escape(due.source)})"
    return [*rows, ("review due", deadline), ("runbook", code(incident.runbook))]


def _since_start(at: int, incident: Incident) -> str:
    return f"{date_time(at)}, {duration((at - incident.started_at) / 1000)} after the start"


def _alternative_text(material: Material) -> str:
    shown = ", ".join(line.signal for line in material.signals[:SIGNALS_MAX]) or "No signal"
    return f"{shown} over time, with deployments and events"
