"""The draft of a post-incident review, in the order of the playbook: what happened, how it was seen and met, why, what next.

It is blameless: it asks what in the system let this happen. Every statement comes from a message; what no message says
is marked "to be filled in" or "to be answered".
"""

from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, codes, escaped, moment, table
from pipeline.review.material import Material
from pipeline.review.sections import actions, cause, gap, impact, questions, response, timeline
from pipeline.wording import duration
from schemas.incident import Incident

_PROMISE = (
    "Blameless: it asks what in the system let this happen, not who. Every statement comes from a message on driftwire's "
    "topics; what no message says is marked **to be filled in** or **to be answered**."
)


def review(material: Material, picture: str) -> str:
    """The draft, as Markdown.

    Parameters
    ----------
    material
        Of the incident.
    picture
        The name of the picture's file, beside the draft; letters, digits, ``.``, ``_`` and ``-``.
    """
    incident = material.incident
    parts = [
        [f"# Post-incident review: {escaped(incident.title)}", "", *_promise(material)],
        table(("", ""), _facts(material)),
        ["## Summary", "", escaped(incident.summary), "", f"![{escaped(_alternative(material))}]({picture})"],
        ["## Impact", "", *impact(material)],
        ["## Timeline", "", *timeline(material)],
        ["## Detection gap", "", *gap(material)],
        ["## Response", "", *response(material)],
        ["## Root cause", "", *cause(material)],
        ["## What to ask of an AI system", "", *questions(material)],
        ["## Action items", "", *actions(material)],
        ["## Sources", "", *_sources(material)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _promise(material: Material) -> list[str]:
    incident = material.incident
    lines = [f"> A draft, made from revision {incident.revision} of {code(incident.incident_id)}. {_PROMISE}"]
    if material.is_open:
        lines += [">", f"> **The incident is still open: this draft ends at {moment(material.end)}.**"]
    return lines


def _facts(material: Material) -> list[tuple[str, str]]:
    incident, back = material.incident, material.recovered_at
    mode = failure_modes.MODES.get(incident.failure_mode)
    what = f"{mode.title if mode else 'unknown failure mode'} ({code(incident.failure_mode)})"
    where = [f"{name} {code(value)}" for name, value in _where(incident) if value]
    rows = [
        ("what", f"{what} in {', '.join([code(incident.subject), *where])}"),
        (
            "severity",
            f"**{incident.severity}** by the rule {code(incident.severity_rule)}: {escaped(incident.severity_reason)}",
        ),
        ("status", incident.status),
        ("began", f"{moment(incident.started_at)} (estimate)"),
        ("detected", f"{moment(incident.detected_at)}, {duration(incident.detection_gap_s)} after the start"),
    ]
    if back is not None:
        rows.append(("signals back", f"{moment(back)}, {_after(back, incident)} after the start"))
    if incident.resolved_at is not None:
        rows.append(
            ("resolved", f"{moment(incident.resolved_at)}, {_after(incident.resolved_at, incident)} after the start")
        )
    if incident.segments:
        rows.append(("segments", codes(incident.segments)))
    rows += [(role, escaped(name) if name else "nobody is named: to be filled in") for role, name in people(incident)]
    due = next((target for target in incident.response_targets if target.name == "review"), None)
    rows.append(
        (
            "review due",
            "no date is set for this severity" if due is None else f"{moment(due.due_at)} ({escaped(due.source)})",
        )
    )
    return [*rows, ("runbook", code(incident.runbook))]


def people(incident: Incident) -> list[tuple[str, str | None]]:
    """Who had which part in it."""
    return [
        ("acknowledged by", incident.acknowledged_by),
        ("incident commander", incident.commander),
        ("technical lead", incident.technical_lead),
        ("communications lead", incident.communications_lead),
    ]


def _where(incident: Incident) -> list[tuple[str, str | None]]:
    return [("environment", incident.environment), ("provider", incident.provider)]


def _after(at: int, incident: Incident) -> str:
    return duration((at - incident.started_at) / 1000)


def _alternative(material: Material) -> str:
    shown = ", ".join(line.signal for line in material.lines[:4]) or "No signal"
    return f"{shown} over time, with what was deployed and done"


def _sources(material: Material) -> list[str]:
    incident, missing = material.incident, material.revisions_missing
    numbers = [each.revision for each in material.revisions]
    at_hand = f"- `driftwire.alerts`: {len(numbers)} of {incident.revision} revisions of the incident"
    lost = (
        f". The topic keeps the newest only for good: {missing} earlier {_plural(missing, 'one is', 'ones are')} gone, "
        "and what they changed is told by the running log as far as that reaches."
    )
    ids = {line.drift_id for line in incident.evidence}
    seen = {drift.drift_id for drift in material.drifts} & ids
    drifts = f"- `driftwire.drifts`: messages of {len(seen)} of {len(ids)} drifts of the evidence"
    gone = ". Of the others only what the incident says is left: the topic keeps drifts for 7 days."
    baseline = material.baseline
    return [
        at_hand + (lost if missing else "."),
        drifts + (gone if seen < ids else "."),
        (
            f"- `driftwire.deployments`: {len(material.deployments)} that touch {code(incident.subject)}, from an hour before "
            "the start to the end."
        ),
        "- `driftwire.baselines`: "
        + (
            f"no baseline of {code(incident.subject)} is at hand, so what is watched cannot be said."
            if baseline is None
            else f"{code(baseline.baseline_version)} of {code(incident.subject)} with {len(baseline.signals)} signals, {_why(material)}."
        ),
    ]


def _why(material: Material) -> str:
    named = {drift.baseline_version for drift in material.drifts}
    judged = material.baseline is not None and material.baseline.baseline_version in named
    return "by which it was judged" if judged else "the newest at hand: that it was judged by this one cannot be said"


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
