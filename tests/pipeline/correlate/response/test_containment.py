from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, START, command, deployment, drift, only, tick


def actions(*contracts):
    return [step.action for step in only(*contracts).containment]


def test_the_rollback_of_a_clear_suspect_comes_first_with_its_versions():
    first = only(deployment(), drift("refused")).containment[0]
    assert (first.action, first.target, first.rank) == ("rollback", "prompt to v41", 1)


def test_one_release_that_is_reported_twice_is_no_rival_of_itself():
    twice = [deployment("job-1", before_s=30), deployment("job-2", before_s=20)]
    assert only(*twice, drift()).containment[0].to_version == "v41"
    other = deployment("job-1", before_s=30, to_version="v43")
    assert "No deployment clearly explains it" in only(other, twice[1], drift()).summary


def test_without_a_clear_suspect_there_is_no_rollback():
    assert "rollback" not in actions(drift("refused"))
    assert "rollback" not in actions(deployment(before_s=1_800), drift("refused"))


def test_a_suspect_without_a_previous_version_is_rolled_back_to_the_one_before_it():
    first = only(deployment(from_version=None), drift("refused")).containment[0]
    assert first.target == "prompt to the version before prompt v42"


def test_harm_is_switched_off_before_anything_is_rolled_back():
    assert actions(deployment(), drift("pii_detected"))[:2] == ["kill_switch", "rollback"]


def test_attacks_are_filtered_first():
    first = only(drift("jailbreak_suspected")).containment[0]
    assert (first.action, "jailbreak_suspected" in first.target) == ("filter", True)


def test_load_is_throttled():
    assert actions(drift("latency_ms", now=20_000.0)) == ["throttle", "kill_switch", "investigate"]


def test_a_feature_that_works_is_investigated_before_it_is_switched_off():
    assert actions(drift("refused")) == ["investigate", "kill_switch"]
    assert actions(drift("empty", now=1.0)) == ["kill_switch", "investigate"]


def test_a_provider_failure_cannot_be_rolled_back():
    status = deployment(kind="provider_status", subject=None, provider="openai")
    assert "rollback" not in actions(status, drift("latency_ms", provider="openai"))


def test_a_completed_rollback_is_not_proposed_again():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    incident = only(deployment(), drift("refused"), back, tick(START + 3 * MINUTE))
    assert [step.action for step in incident.containment] == ["investigate", "kill_switch"]
    assert "d-43 is deployed" in incident.containment[0].reason
    assert "rolled back at 03:14:00Z" in incident.summary


def test_the_order_follows_the_severity_that_a_person_set():
    opened = drift("refused")
    raised = command("classify", only(opened).incident_id, severity="P2")
    assert actions(opened, raised) == ["kill_switch", "investigate"]


def test_every_mode_names_its_runbook_for_the_investigation():
    for mode in MODES:
        incident = only(drift("refused", failure_mode=mode))
        assert incident.runbook == f"docs/runbooks/{mode}.md"
        assert [step.target for step in incident.containment if step.action == "investigate"] == [incident.runbook]


SWITCHES = CorrelateSettings(kill_switches={"support-bot": "support_bot_enabled"})


def off(deployment_id="f-1", *, before_s=-120, **fields):
    values = {"kind": "flag", "name": "support_bot_enabled", "from_version": "on", "to_version": "off"}
    return deployment(deployment_id, before_s=before_s, **(values | fields))


def kill_switch(*contracts, settings=SWITCHES):
    [step] = [step for step in only(*contracts, settings=settings).containment if step.action == "kill_switch"]
    return step


def test_the_kill_switch_is_the_configured_flag():
    assert kill_switch(drift("pii_detected")).target == "the feature flag support_bot_enabled"
    assert kill_switch(drift("pii_detected"), settings=CorrelateSettings()).target == (
        "the feature flag of support-bot (set its name in correlate.kill_switches)"
    )
    assert "switch off the feature flag support_bot_enabled" in only(drift("pii_detected"), settings=SWITCHES).summary


def test_a_used_kill_switch_is_done_and_comes_last():
    incident = only(drift("pii_detected"), off(), tick(START + 3 * MINUTE), settings=SWITCHES)
    last = incident.containment[-1]
    assert (last.action, last.done_at) == ("kill_switch", START + 2 * MINUTE)
    assert last.reason == "done at 03:14:00Z by f-1: users get the fallback"
    assert incident.containment[0].action == "filter"
    assert "It was switched off at 03:14:00Z. First: filter" in incident.summary
    [line] = [entry for entry in incident.log if entry.at == START + 2 * MINUTE]
    assert (line.event, line.text) == ("kill_switch", "switched off: flag support_bot_enabled on -> off (f-1)")
    assert "switched off" in incident.change


def test_a_flag_that_is_on_again_or_another_or_earlier_flag_is_not_a_use():
    clock = tick(START + 9 * MINUTE)
    on = off("f-2", before_s=-180, from_version="off", to_version="on")
    assert kill_switch(drift("pii_detected"), off(), on, clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(name="other"), clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(kind="config"), clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(subject="search"), clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(before_s=900), clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(from_version="50%", to_version="100%"), clock).done_at is None
    assert kill_switch(drift("pii_detected"), off(to_version=None), clock).done_at is None


def test_a_flag_of_the_future_is_not_a_use_yet():
    assert kill_switch(drift("pii_detected"), off(before_s=-600), tick(START + MINUTE)).done_at is None
