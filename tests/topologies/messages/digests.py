"""Digests to test receivers with."""

from pipeline.route import NoticeDispatch
from pipeline.route.reasons import Reason
from schemas.notice import Digest, DigestIncident, DigestSection, Suppression
from tests.pipeline.route.samples import STARTED

DAY_MS = 86_400_000


def listed(**changes):
    fields = {
        "incident_id": "inc-3f9a21c0b7",
        "subject": "support-bot",
        "severity": "P4",
        "status": "open",
        "title": "support-bot refuses 9.1 % of requests",
        "started_at": STARTED,
    }
    return DigestIncident(**(fields | changes))


def section(*incidents, total=None):
    return DigestSection(total=len(incidents) if total is None else total, incidents=list(incidents))


SILENCED = Suppression(reason_code="silenced", reason="silenced by ana until 2026-11-24T05:00:00.000Z (silence-1)")


def digest(**changes):
    """A digest with an incident in each section, with changes."""
    fields = {
        "name": "morning",
        "since": STARTED,
        "until": STARTED + DAY_MS,
        "p4": section(listed(incident_id="inc-1")),
        "stale_p3": section(listed(incident_id="inc-2", severity="P3", started_at=STARTED - DAY_MS)),
        "suppressed": section(listed(incident_id="inc-3", severity="P2", suppressions=[SILENCED])),
    }
    return Digest(**(fields | changes))


def dispatch(content=None, receiver="mail", time_zone="UTC"):
    reason = Reason("digest_due", "the digest of 2026-11-25 is due")
    notice_id = "digest:morning:2026-11-25"
    return NoticeDispatch(notice_id, content or digest(), receiver, reason, STARTED + DAY_MS, time_zone)


def hostile(name):
    """A digest in which each text from a record is the same."""
    incident = listed(title=name, incident_id=name[:200], subject="s", suppressions=[SILENCED])
    return digest(p4=section(incident), stale_p3=section(), suppressed=section(incident))


def longest(character):
    """A digest with as much text as there can be."""
    reason = Suppression(reason_code="silenced", reason=character * 1000)
    incident = listed(title=character * 200, incident_id=character * 200, suppressions=[reason] * 4)
    full = section(*[incident] * 50, total=10_000)
    return digest(name=character * 100, p4=full, stale_p3=full, suppressed=full)
