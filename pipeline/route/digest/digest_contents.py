"""The content of a digest, from the notification log.

An incident that was dropped from the log, because there are more than ``route.incidents_max``, is not in a digest.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from pipeline.route.labels import LabelRule, add_labels
from pipeline.route.matchers import matches_all, parse_matchers
from pipeline.route.notification_log import NotifiedIncident
from pipeline.route.settings import DigestSettings
from schemas.incident import IncidentStatus, Severity
from schemas.notice import DIGEST_INCIDENTS_MAX, Digest, DigestIncident, DigestSection, Suppression
from schemas.topics import DAY_MS

STALE_AFTER_MS = DAY_MS
"""Age of an open P3 from which a digest contains it, in milliseconds. Higher values leave out more incidents."""


def build_digest(
    settings: DigestSettings,
    incidents: Iterable[tuple[str, NotifiedIncident]],
    label_rules: Sequence[LabelRule],
    since: int,
    until: int,
) -> Digest:
    """Summarise the incidents that match, from the time of the digest before to the time of this one (Unix ms).

    Returns
    -------
    Digest
        Interval of the digest: events from ``since`` to just before ``until``, and the state at ``until``.
    """
    matchers = parse_matchers(*settings.matchers)
    p4, stale_p3, suppressed = [], [], []
    for incident_id, notified in incidents:
        summary = notified.summary
        if not summary.started_at or not matches_all(matchers, add_labels(notified.labels, label_rules)):
            continue
        [severity] = notified.labels["severity"]
        if severity == "P4" and (not notified.is_closed or summary.revised_at >= since):
            p4.append(_describe(incident_id, notified))
        if severity == "P3" and not notified.is_closed and until - summary.started_at >= STALE_AFTER_MS:
            stale_p3.append(_describe(incident_id, notified))
        suppressions = _suppressions(notified, since)
        if suppressions:
            suppressed.append(_describe(incident_id, notified, suppressions))
    return Digest(
        name=settings.name,
        since=since,
        until=until,
        p4=_section(p4),
        stale_p3=_section(stale_p3),
        suppressed=_section(suppressed),
    )


def _suppressions(notified: NotifiedIncident, since: int) -> list[Suppression]:
    """Return the last reason per code for which notifications were suppressed since a time (Unix ms), or still are."""
    current = {reason.code for reason in notified.held_back.values()}
    return [
        Suppression(reason_code=last.reason.code, reason=last.reason.text)
        for code, last in sorted(notified.summary.suppressions.items())
        if last.at >= since or code in current
    ]


def _describe(incident_id: str, notified: NotifiedIncident, suppressions: Sequence[Suppression] = ()) -> DigestIncident:
    [subject], [severity], [status] = (notified.labels[name] for name in ("subject", "severity", "status"))
    return DigestIncident(
        incident_id=incident_id,
        subject=subject,
        severity=cast(Severity, severity),
        status=cast(IncidentStatus, status),
        title=notified.summary.title,
        started_at=notified.summary.started_at,
        suppressions=list(suppressions),
    )


def _section(incidents: Sequence[DigestIncident]) -> DigestSection:
    newest_first = sorted(incidents, key=lambda incident: (-incident.started_at, incident.incident_id))
    return DigestSection(total=len(incidents), incidents=newest_first[:DIGEST_INCIDENTS_MAX])
