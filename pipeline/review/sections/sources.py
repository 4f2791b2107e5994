"""Sources: the messages about the incident that are still on the topics."""

from pipeline.review.markdown import code
from pipeline.review.material import Material


def write_sources(material: Material) -> list[str]:
    """Write the lines of the section."""
    incident, missing = material.incident, material.missing_revisions
    subject = code(incident.subject)
    drift_ids = {line.drift_id for line in incident.evidence}
    known_ids = {drift.drift_id for drift in material.drifts} & drift_ids
    alerts = f"- `driftwire.alerts`: {len(material.revisions)} of {incident.revision} revisions of the incident."
    if missing:
        alerts += (
            f" The topic permanently keeps only the newest revision: {missing} earlier "
            f"{'is' if missing == 1 else 'are'} gone. Their changes are included if the running log contains them."
        )
    drifts = f"- `driftwire.drifts`: messages of {len(known_ids)} of {len(drift_ids)} drifts of the evidence."
    if known_ids < drift_ids:
        drifts += " For the others, only the incident's own data is left, because the topic keeps drifts for 7 days."
    deployments = (
        f"- `driftwire.deployments`: {len(material.deployments)} that affect {subject}, from an hour before the start to the "
        "end."
    )
    return [alerts, drifts, deployments, f"- `driftwire.baselines`: {_baseline(material)}."]


def _baseline(material: Material) -> str:
    baseline, subject = material.baseline, code(material.incident.subject)
    if baseline is None:
        return f"no baseline of {subject}, so it is unknown which signals are monitored"
    is_named = baseline.baseline_version in {drift.baseline_version for drift in material.drifts}
    use = (
        "which the drifts were measured against" if is_named else "the newest; it is unknown which one the drifts used"
    )
    return f"{code(baseline.baseline_version)} of {subject} with {len(baseline.signals)} signals, {use}"
