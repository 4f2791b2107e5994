"""The change freeze: permitted deployments during an incident, and deployments that break the freeze."""

import pytest

from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, START, command, deployment, drift, later, only, revisions, tick

CAUSE = deployment()
REFUSED = drift()
ID = only(REFUSED).incident_id
BACK = later(REFUSED, 5 * 60)


def change(after_s, deployment_id="d-9", **fields):
    """An index deployment, ``after_s`` seconds after the start."""
    return deployment(deployment_id, before_s=-after_s, **({"kind": "index"} | fields))


LATER = tick(START + 4 * MINUTE)


def test_an_open_incident_freezes_changes():
    assert only(REFUSED).change_freeze == "on"


def test_a_deployment_during_it_breaks_the_freeze_and_is_reported():
    published = revisions(CAUSE, REFUSED, change(120), LATER)
    assert [revision.change_freeze for revision in published] == ["on", "broken"]
    assert published[-1].freeze_broken_by == ["d-9"]
    assert "index v41 -> v42 (d-9) was deployed during the open incident" in published[-1].change
    assert published[-1].summary.endswith("Change freeze broken: index v41 -> v42 (d-9) was deployed at 03:14:00Z.")


@pytest.mark.parametrize(
    "allowed",
    [
        change(120, kind="prompt", from_version="v42", to_version="v41"),
        change(120, rollback_of="d-42"),
        change(120, kind="provider_status"),
        change(120, subject="search"),
        change(3),
    ],
    ids=[
        "restores the old version",
        "names what it reverts",
        "provider status",
        "another subject",
        "before the detection",
    ],
)
def test_an_allowed_deployment_does_not_break_the_freeze(allowed):
    incident = only(CAUSE, REFUSED, allowed, LATER)
    assert (incident.change_freeze, incident.freeze_broken_by) == ("on", [])
    assert "Change freeze" not in incident.summary


def test_reverting_what_broke_the_freeze_is_a_rollback_too():
    undone = change(180, "d-10", from_version="v42", to_version="v41")
    assert only(REFUSED, change(120), undone, LATER).freeze_broken_by == ["d-9"]


def test_a_deployment_after_all_signals_recovered_is_no_break():
    incident = only(REFUSED, BACK, change(6 * 60), tick(START + 8 * MINUTE))
    assert (incident.status, incident.change_freeze, incident.freeze_broken_by) == ("mitigated", "off", [])
    assert incident.log[-1].text == "index v41 -> v42 (d-9) was deployed"


def test_a_deployment_after_a_person_mitigated_the_incident_is_no_break():
    contained = command("mitigate", ID, at=START + MINUTE)
    incident = only(REFUSED, contained, change(120), LATER)
    assert (incident.change_freeze, incident.freeze_broken_by) == ("off", [])


def test_a_deployment_while_contained_is_no_break_after_the_incident_reopens():
    again = drift("refused", start=START + 7 * MINUTE, drift_id="again")
    incident = only(REFUSED, BACK, change(6 * 60), again, tick(START + 9 * MINUTE))
    assert (incident.status, incident.change_freeze, incident.freeze_broken_by) == ("open", "on", [])


def test_what_broke_the_freeze_stays_named_after_the_resolution():
    incident = only(REFUSED, change(120), BACK, tick(START + 30 * MINUTE))
    assert (incident.change_freeze, incident.freeze_broken_by) == ("off", ["d-9"])
    assert "Change freeze" not in incident.summary


def test_only_the_configured_severities_freeze_changes():
    strict = CorrelateSettings(freeze_severities=("P1", "P2"))
    assert only(REFUSED, change(120), LATER, settings=strict).change_freeze == "off"
    assert only(drift("pii_detected"), change(120), LATER, settings=strict).change_freeze == "broken"
