"""The verdict: every difference between a planted failure and its incident is listed."""

import pytest

from load.demo.verdict import PlantedFailure, compare
from schemas.incident import Incident, Suspect
from schemas.timestamp import parse_timestamp

AT = parse_timestamp("2026-11-24T03:10:00Z")
PLANTED = PlantedFailure("refusal_spike", "refusal_spike", AT, "P3", "prompt-42")


def incident(**changes: object) -> Incident:
    suspects = [Suspect(rank=1, kind="prompt", name="v41 -> v42", score=0.9, reason="near", deployment_id="prompt-42")]
    fields = {
        "incident_id": "inc-1",
        "revision": 1,
        "status": "open",
        "severity": "P3",
        "severity_rule": "quality_loss",
        "severity_reason": "users see it",
        "failure_mode": "refusal_spike",
        "subject": "support-bot",
        "title": "Refusal spike",
        "summary": "It refuses.",
        "started_at": AT + 2000,
        "detected_at": AT + 9000,
        "detection_gap_s": 7.0,
        "updated_at": AT + 9000,
        "evidence": [],
        "suspects": suspects,
        "runbook": "docs/runbooks/refusal_spike.md",
        "change": "opened",
    }
    return Incident.model_validate(fields | changes)


def test_an_incident_that_matches_the_planted_failure_agrees() -> None:
    verdict = compare([PLANTED], [incident()])
    (match,) = verdict.matches
    assert verdict.agrees
    assert (match.start_error_s, match.detection_gap_s, match.suspect) == (2.0, 9.0, "prompt-42")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"severity": "P2"}, "severity P2, expected P3"),
        ({"started_at": AT + 61_000}, "start 61 s late"),
        ({"started_at": AT - 61_000}, "start 61 s early"),
        ({"detected_at": AT + 181_000}, "detected 181 s after the start"),
        ({"detected_at": AT - 1000}, "detected -1 s after the start"),
        ({"suspects": []}, "suspects nothing, expected prompt-42"),
    ],
)
def test_each_difference_is_listed(changes: dict[str, object], difference: str) -> None:
    verdict = compare([PLANTED], [incident(**changes)])
    assert verdict.matches[0].wrong == (difference,)
    assert not verdict.agrees


@pytest.mark.parametrize("changes", [{"failure_mode": "outage"}, {"started_at": AT - 601_000}])
def test_an_incident_of_another_mode_or_time_is_not_about_it(changes: dict[str, object]) -> None:
    verdict = compare([PLANTED], [incident(**changes)])
    assert verdict.matches[0].wrong == ("not found",)
    assert len(verdict.unplanned) == 1


def test_a_second_incident_about_the_same_failure_is_unplanned() -> None:
    verdict = compare([PLANTED], [incident(started_at=AT + 30_000, incident_id="inc-2"), incident()])
    assert [incident.incident_id for incident in verdict.unplanned] == ["inc-2"]
    assert verdict.matches[0].wrong == ()
    assert not verdict.agrees
