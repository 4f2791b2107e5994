"""A state of an earlier format is restored with the defaults of the new fields."""

from pathlib import Path

import orjson

from pipeline.route import Delivery, RouteSettings, RouteStep
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.pipeline.route.test_step import SETTINGS, run

FORMAT_2, FORMAT_4 = (
    orjson.loads(Path(__file__).with_name(f"state_of_format_{number}.json").read_bytes()) for number in (2, 4)
)


def restored() -> RouteStep:
    step = RouteStep(SETTINGS)
    assert list(step.restore((key.encode(), orjson.dumps(part)) for key, part in FORMAT_2["parts"].items())) == []
    return step


def test_nobody_is_notified_twice():
    notes = run(restored(), alert(incident(revision=1, severity="P2")), alert(incident(revision=2, severity="P2"), 3))
    assert notes == [
        ("pager", 2, "suppressed", "nothing new since revision 1: P2 open"),
        ("chat", 2, "suppressed", "nothing new since revision 1: P2 open"),
        ("console", 2, "suppressed", "nothing new since revision 1: P2 open"),
    ]


def test_changes_are_sent_and_a_closed_incident_stays_closed():
    notes = run(restored(), alert(incident(revision=2, severity="P1"), 3))
    assert ("pager", 2, "sent", "severity P2 -> P1") in notes
    assert run(restored(), alert(incident(incident_id="inc-over", revision=3, status="resolved"), 3)) == []


def test_silences_are_kept():
    held = run(restored(), alert(incident(incident_id="new", subject="search"), 3))
    assert {outcome for _, _, outcome, _ in held} == {"suppressed"}


def test_what_is_owed_and_held_back_in_format_4_is_sent_with_groups_and_digests_configured():
    settings = RouteSettings.model_validate(
        {
            "receivers": [{"name": "pager", "console": True}, {"name": "chat", "console": True}],
            "default_receivers": ["pager", "chat"],
            "escalations": [{"name": "late", "receivers": ["chat"]}],
            "group_by": ["subject"],
            "digests": [{"name": "morning", "receivers": ["chat"], "time": "09:00"}],
        }
    )
    step = RouteStep(settings, STARTED + 2000)
    assert list(step.restore((key.encode(), orjson.dumps(part)) for key, part in FORMAT_4["parts"].items())) == []
    step.tick(STARTED + 5000)
    (owed,) = step.take_pending()
    assert (owed.receiver, owed.incident.incident_id) == ("chat", "inc-told")
    step.record_delivery(owed, Delivery("sent", "", 1, STARTED))
    step.tick(STARTED + 3_600_000)
    step.tick(STARTED + 3_630_000)
    held = [(sent.receiver, member.incident.incident_id) for sent in step.take_pending() for member in sent.members]
    assert sorted(held) == [("chat", "inc-held"), ("pager", "inc-held")]
    parts = {key for key, value in step.changed() if value is not None}
    assert b"digest/morning" in parts
