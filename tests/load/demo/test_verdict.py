"""The verdict: each way in which an incident can miss what was planted is said."""

import pytest

from load.demo.verdict import Planted, judge
from schemas.incident import Incident, Suspect
from schemas.timestamp import parse_timestamp

AT = parse_timestamp("2026-11-24T03:10:00Z")
PLANTED = Planted("refusal_spike", "refusal_spike", AT, "P3", "prompt-42")


def incident(**changes: object) -> Incident:
    suspects = [Suspect(rank=1, kind="prompt", name="v41 -> v42", score=0.9, reason="near", deployment_id="prompt-42")]
    fields = {
        "incident_id": "inc-1", "revision": 1, "status": "open", "severity": "P3", "severity_rule": "quality_loss",
        "severity_reason": "users see it", "failure_mode": "refusal_spike", "subject": "support-bot",
        "title": "Refusal spike", "summary": "It refuses.", "started_at": AT + 2000, "detected_at": AT + 9000,
        "detection_gap_s": 7.0, "updated_at": AT + 9000, "evidence": [], "suspects": suspects,
        "runbook": "docs/runbooks/refusal_spike.md", "change": "opened",
    }  # fmt: skip
    return Incident.model_validate(fields | changes)


def test_an_incident_that_says_it_all_agrees() -> None:
    verdict = judge([PLANTED], [incident()])
    (finding,) = verdict.findings
    assert verdict.agrees
    assert (finding.start_error_s, finding.detection_gap_s, finding.suspect) == (2.0, 9.0, "prompt-42")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"severity": "P2"}, "severity P2, expected P3"),
        ({"started_at": AT + 61_000}, "start 61 s late"),
        ({"started_at": AT - 61_000}, "start 61 s early"),
        ({"detected_at": AT + 181_000}, "detected 181 s after the start"),
        ({"detected_at": AT - 1000}, "detected -1 s after the start"),
        ({"suspects": []}, "suspects nothing, expected prompt-42"),
    ],
)
def test_each_difference_is_said(changes: dict[str, object], said: str) -> None:
    verdict = judge([PLANTED], [incident(**changes)])
    assert verdict.findings[0].wrong == (said,)
    assert not verdict.agrees


@pytest.mark.parametrize("changes", [{"failure_mode": "outage"}, {"started_at": AT - 601_000}])
def test_an_incident_of_another_mode_or_time_is_not_about_it(changes: dict[str, object]) -> None:
    verdict = judge([PLANTED], [incident(**changes)])
    assert verdict.findings[0].wrong == ("not found",)
    assert len(verdict.unplanned) == 1


def test_of_two_incidents_about_the_same_the_second_is_unplanned() -> None:
    verdict = judge([PLANTED], [incident(started_at=AT + 30_000, incident_id="inc-2"), incident()])
    assert [each.incident_id for each in verdict.unplanned] == ["inc-2"]
    assert verdict.findings[0].wrong == ()
    assert not verdict.agrees
