import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner

from pipeline.step import RawMessage
from schemas.notice import Notice
from schemas.notification import Notification
from schemas.topics import ALERTS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, incident
from tests.topologies.messages.digests import digest, section
from topologies.commands.notifications import collect_notifications, command, describe_notification
from topologies.kafka import write_message


def notification(**changes):
    fields = {
        "notification_id": "inc-1:1:on-call",
        "incident_id": "inc-1",
        "revision": 1,
        "subject": "support-bot",
        "severity": "P2",
        "status": "open",
        "route": "urgent",
        "receiver": "on-call",
        "outcome": "suppressed",
        "reason": "muted by the time interval maintenance",
        "reason_code": "muted",
        "decided_at": STARTED,
    }
    return Notification(**(fields | changes))


DIGEST = Notice(
    notification_id="digest:morning:2026-11-25:mail",
    kind="digest",
    name="morning",
    receiver="mail",
    outcome="sent",
    reason="the digest of 2026-11-25 is due",
    reason_code="digest_due",
    attempts=1,
    decided_at=STARTED + 100_000,
    digest=digest(),
)
SENT = {"outcome": "sent", "reason": "new to the receiver: P2 open", "reason_code": "first_notification"}


def test_the_notifications_of_one_incident_are_collected_oldest_first():
    async def messages():
        values = [
            notification(decided_at=STARTED + 2, **SENT).to_json(),
            b"{",
            notification(incident_id="inc-2").to_json(),
            notification().to_json(),
            DIGEST.to_json(),
            DIGEST.model_copy(
                update={"digest": digest(p4=section(), stale_p3=section(), suppressed=section())}
            ).to_json(),
        ]
        for offset, value in enumerate(values):
            yield RawMessage(NOTIFICATIONS, 0, offset, STARTED, None, value)

    found = asyncio.run(collect_notifications(messages(), "inc-1"))
    assert found == [notification(), notification(decided_at=STARTED + 2, **SENT), DIGEST]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "suppressed, revision 1 (P2 open), route urgent: muted by the time interval maintenance"),
        (SENT | {"attempts": 1}, "sent, revision 1 (P2 open), route urgent: new to the receiver: P2 open"),
        (
            SENT | {"attempts": 3},
            "sent after 3 attempts, revision 1 (P2 open), route urgent: new to the receiver: P2 open",
        ),
        (
            SENT | {"attempts": 2, "group": 'team="search"'},
            'sent with the group team="search" after 2 attempts, revision 1 (P2 open), route urgent: new to the receiver: P2 open',
        ),
        (
            {"outcome": "failed", "attempts": 5, "reason": "HTTP 503", "status": "acknowledged"},
            "failed after 5 attempts, revision 1 (P2 acknowledged), route urgent: HTTP 503",
        ),
    ],
)
def test_a_notification_is_one_line(changes, line):
    assert describe_notification(notification(**changes)) == f"2026-11-24 03:12:00Z on-call: {line}"


def test_a_digest_is_one_line():
    line = "2026-11-24 03:13:40Z mail: sent, digest morning: the digest of 2026-11-25 is due"
    assert describe_notification(DIGEST) == line


@pytest.mark.kafka
def test_the_notifications_of_an_incident_are_shown_by_a_prefix_of_its_id(broker):
    incident_id = f"inc-{uuid4().hex}"
    decided = notification(incident_id=incident_id, reason="two\nlines\x1b[2J")

    def run(*options):
        arguments = ("--incident", incident_id[:-2], "--bootstrap", broker.bootstrap, *options)
        return CliRunner().invoke(command, arguments)

    async def write(topic, message):
        await write_message(broker.cluster, topic, incident_id.encode(), message.to_json())

    assert run().exit_code == 2
    asyncio.run(write(ALERTS, incident(incident_id=incident_id)))
    nothing = run()
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "route has not decided about the incident" in nothing.stderr
    asyncio.run(write(NOTIFICATIONS, decided))
    assert run().stdout.endswith("route urgent: two lines\ufffd[2J\n")
    assert run("--json").stdout.strip().encode() == decided.to_json()
