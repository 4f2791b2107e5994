"""The reasons are a closed set: each code is given by some decision, and documented."""

from pathlib import Path
from typing import get_args

import pytest

from pipeline.route import Delivery, RouteSettings, RouteStep
from pipeline.step import RawMessage
from schemas.deployment import Deployment
from schemas.incident import LogEntry
from schemas.notice import Notice
from schemas.notification import Notification, ReasonCode
from schemas.topics import DEPLOYMENTS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident, silence, suspect

DOCUMENTATION = (Path(__file__).parents[3] / "docs" / "routes.md").read_text()
LATER = STARTED + 100_000
HOUR_MS = 3_600_000
ACKNOWLEDGED = LogEntry(at=LATER, event="acknowledge", text="acknowledged by ben")
OVERDUE = LogEntry(at=LATER, event="reminder", text="fix was due: do it")


def console(**changes):
    return {"receivers": [{"name": "console", "console": True} | changes]}


INHIBIT = {"inhibit": [{"source": ["subject=source"], "target": ['subject!="source"']}]}
HOURS = {"start_time": "03:00", "end_time": "04:00"}
INTERVALS = {
    "night": {"times": [HOURS]},
    "day": {"times": [{"start_time": "04:00", "end_time": "20:00"}]},
    "weekend": {"weekdays": ["saturday", "sunday"]},
}


def timed(**times):
    return console() | {
        "time_intervals": INTERVALS,
        "routes": [{"name": "all", "receivers": ["console"]} | times],
    }


DIGEST = {"digests": [{"name": "morning", "receivers": ["console"], "time": "09:00"}]}
CHANGES = {"name": "pager", "pagerduty": {"routing_key": "key", "change_events": True}}
DEPLOYMENT = Deployment(deployment_id="d-1", timestamp=STARTED, kind="prompt")
SOURCE = [alert(incident(incident_id="source", subject="source"))]
SOURCE_ENDS = {"incident_id": "source", "subject": "source", "revision": 2, "status": "resolved"}
OPENED = alert(incident())
SITUATIONS = {
    "first_notification": (console(), OPENED),
    "severity_changed": (console(), OPENED, alert(incident(revision=2, severity="P2", status="acknowledged"), 1)),
    "status_changed": (console(), OPENED, alert(incident(revision=2, status="acknowledged", suspects=[]), 1)),
    "suspect_changed": (console(), OPENED, alert(incident(revision=2, suspects=[suspect(deployment_id="d")]), 1)),
    "response": (console(), OPENED, alert(incident(revision=2, log=[ACKNOWLEDGED]), 1)),
    "overdue": (console(), OPENED, alert(incident(revision=2, log=[OVERDUE]), 1)),
    "repeat_interval": (console(), OPENED, STARTED + 5 * HOUR_MS),
    "silenced": (console(), silence(), OPENED),
    "inhibited": (console() | INHIBIT, *SOURCE, OPENED),
    "silence_ended": (console(), silence(), OPENED, STARTED + HOUR_MS),
    "inhibition_ended": (console() | INHIBIT, *SOURCE, OPENED, alert(incident(**SOURCE_ENDS), 2), LATER),
    "mute_ended": (timed(mute_times=["night"]), OPENED, STARTED + HOUR_MS),
    "active_time_began": (timed(active_times=["day"]), OPENED, STARTED + HOUR_MS),
    "muted": (timed(mute_times=["weekend", "night"]), OPENED),
    "outside_active_time": (timed(active_times=["weekend"]), OPENED),
    "severity_not_accepted": (console(severities=["P1"]), OPENED),
    "end_not_accepted": (console(send_resolved=False), OPENED, alert(incident(revision=2, status="resolved"), 1)),
    "closed_before_notified": (console(), alert(incident(status="resolved"))),
    "no_change": (console(), OPENED, alert(incident(revision=2), 1)),
    "superseded": (console(), [OPENED, alert(incident(revision=2, severity="P2"), 1)]),
    "fallback": (
        {
            "receivers": [
                {"name": "failing", "console": True, "fallback": "console"},
                {"name": "console", "console": True},
            ]
        }
        | {"default_receivers": ["failing"]},
        OPENED,
        STARTED,
    ),
    "escalated": (
        {
            "receivers": [{"name": "console", "console": True}, {"name": "manager", "console": True}],
            "escalations": [{"name": "unacknowledged", "receivers": ["manager"], "after_s": 900}],
        },
        alert(incident(severity="P2")),
        STARTED + HOUR_MS,
    ),
    "digest_due": (console() | DIGEST, STARTED, alert(incident(severity="P4")), STARTED + 24 * HOUR_MS),
    "digest_empty": (console() | DIGEST, STARTED, STARTED + 24 * HOUR_MS),
    "deployed": (
        {"receivers": [CHANGES], "default_receivers": ["pager"]},
        RawMessage(DEPLOYMENTS, 0, 0, STARTED, None, DEPLOYMENT.to_json()),
    ),
    "escalation_ended": (
        {
            "receivers": [
                {"name": "console", "console": True},
                {"name": "manager", "console": True, "messages_per_minute": 1},
            ],
            "escalations": [{"name": "unacknowledged", "receivers": ["manager"], "after_s": 900}],
        },
        [alert(incident(incident_id=name, severity="P2")) for name in "ab"],
        STARTED + HOUR_MS,
        [alert(incident(incident_id=name, severity="P2", revision=2, status="acknowledged"), 1) for name in "ab"],
    ),
    "receiver_failed": (console(name="failing") | {"default_receivers": ["failing"]}, OPENED),
}
"""The settings, and the messages, lists of messages and ticks (Unix ms) of which the last one leads to the reason."""


def last_notifications(settings, *inputs) -> list[Notification | Notice]:
    """The notifications and notices to which the last input leads."""
    step, outputs = RouteStep(RouteSettings.model_validate(settings), STARTED), []
    for given in inputs:
        if isinstance(given, int):
            outputs = step.tick(given)
        else:
            outputs = step.step(given if isinstance(given, list) else [given])
        for dispatch in step.take_pending():
            outcome = "failed" if dispatch.receiver == "failing" else "sent"
            outputs += step.record_delivery(dispatch, Delivery(outcome, "answered 400", 1))
    values = [output.value for output in outputs if output.topic == NOTIFICATIONS]
    return [(Notice if b'"type":"notice"' in value else Notification).from_json(value) for value in values]


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_every_code_is_given_by_a_decision_and_documented(code):
    assert code in {note.reason_code for note in last_notifications(*SITUATIONS[code])}
    assert f"| `{code}` |" in DOCUMENTATION or f"code is `{code}`" in DOCUMENTATION


def test_a_notification_of_an_older_version_has_no_code():
    note = last_notifications(*SITUATIONS["no_change"])[-1].to_json().replace(b'"reason_code":"no_change",', b"")
    assert Notification.from_json(note).reason_code is None
