from pipeline.correlate.modes import MODES
from tests.pipeline.correlate.builders import MINUTE, START, command, deployment, drift, only, tick


def actions(*contracts):
    return [step.action for step in only(*contracts).containment]


def test_the_rollback_of_a_clear_suspect_comes_first_with_its_versions():
    first = only(deployment(), drift("refused")).containment[0]
    assert (first.action, first.target, first.rank) == ("rollback", "prompt to v41", 1)


def test_without_a_clear_suspect_there_is_no_rollback():
    assert "rollback" not in actions(drift("refused"))
    assert "rollback" not in actions(deployment(before_s=1_800), drift("refused"))


def test_a_suspect_without_a_version_before_is_rolled_back_to_the_one_before_it():
    first = only(deployment(from_version=None), drift("refused")).containment[0]
    assert first.target == "prompt to the version before prompt v42"


def test_harm_is_switched_off_before_anything_is_rolled_back():
    assert actions(deployment(), drift("pii_detected"))[:2] == ["kill_switch", "rollback"]


def test_attacks_are_filtered_first():
    first = only(drift("jailbreak_suspected")).containment[0]
    assert (first.action, "jailbreak_suspected" in first.target) == ("filter", True)


def test_load_is_throttled():
    assert actions(drift("latency_ms", now=20_000.0)) == ["throttle", "kill_switch", "investigate"]


def test_what_works_is_investigated_before_it_is_switched_off():
    assert actions(drift("refused")) == ["investigate", "kill_switch"]
    assert actions(drift("empty", now=1.0)) == ["kill_switch", "investigate"]


def test_a_providers_trouble_cannot_be_rolled_back():
    status = deployment(kind="provider_status", subject=None, provider="openai")
    assert "rollback" not in actions(status, drift("latency_ms", provider="openai"))


def test_what_was_rolled_back_is_not_proposed_again():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    incident = only(deployment(), drift("refused"), back, tick(START + 3 * MINUTE))
    assert [step.action for step in incident.containment] == ["investigate", "kill_switch"]
    assert "d-43 is deployed" in incident.containment[0].reason
    assert "rolled back at 03:14:00Z" in incident.summary


def test_the_order_follows_a_severity_that_a_person_gave():
    opened = drift("refused")
    raised = command("classify", only(opened).incident_id, severity="P2")
    assert actions(opened, raised) == ["kill_switch", "investigate"]


def test_every_mode_names_its_runbook_as_the_place_to_look():
    for mode in MODES:
        incident = only(drift("refused", failure_mode=mode))
        assert incident.runbook == f"docs/runbooks/{mode}.md"
        assert [step.target for step in incident.containment if step.action == "investigate"] == [incident.runbook]
