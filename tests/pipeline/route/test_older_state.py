"""A state of an earlier format is restored with the defaults of the new fields."""

from pathlib import Path

import orjson

from pipeline.route import RouteStep
from tests.pipeline.route.samples import alert, incident
from tests.pipeline.route.test_step import SETTINGS, run

FORMAT_2 = orjson.loads(Path(__file__).with_name("state_of_format_2.json").read_bytes())


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
