"""The target of a rollback: the newest version before the cause that was live for a while without an incident."""

import itertools

import pytest

from pipeline.correlate.deployments.known_good import KnownGood
from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later, newest, only, tick

HOUR = 60 * MINUTE
CAUSE = deployment("d-42", before_s=20)
"""prompt v41 -> v42, just before the start."""


def deployed(version, hours_before, before=None, **fields):
    """A prompt that went live ``hours_before`` hours before the start."""
    fields = {"from_version": before, "to_version": version} | fields
    return deployment(f"d-{version}-{hours_before}", before_s=hours_before * 3600, **fields)


def good(*deployments, cause=CAUSE, incidents=()):
    line = sorted((*deployments, cause), key=lambda item: item.timestamp)
    return KnownGood.find(cause, line, incidents, 60_000)


def failed(hours_before, severity="P3"):
    return START - round(hours_before * HOUR), severity


def test_the_version_before_is_taken_if_it_was_live_without_an_incident():
    known = good(deployed("v41", 76, "v40"))
    assert (known.version, known.passed_over) == ("v41", ())
    assert known.description == "v41 (last known good: live 3 d 3 h without an incident until 2026-11-24 03:11Z)"


def test_nothing_is_known_about_a_previous_version_without_its_deployment():
    known = good()
    assert (known.version, known.live_ms, known.description) == ("v41", None, "v41")


def test_without_a_previous_version_there_is_none():
    assert good(cause=deployment(from_version=None)) is None


def test_two_bad_versions_in_a_row_are_both_passed_over():
    known = good(deployed("v40", 50), deployed("v41", 5, "v40"), incidents=[failed(4)])
    assert (known.version, known.live_ms) == ("v40", 45 * HOUR)
    assert known.passed_over == ("v41 had an incident at 2026-11-23 23:12Z",)


def test_a_version_that_was_rolled_back_is_passed_over_but_the_restored_one_is_not():
    back = deployed("v40", 4, "v41")
    known = good(deployed("v40", 50), deployed("v41", 5, "v40"), back, cause=deployment(from_version="v40"))
    assert (known.version, known.live_ms) == ("v40", 49 * HOUR - 20_000)
    named = deployment("r", before_s=4 * 3600, from_version=None, to_version=None, rollback_of="d-v41-5")
    assert good(deployed("v40", 50), deployed("v41", 5, "v40"), named).version == "v40"


def test_a_second_attempt_does_not_count_against_the_version_that_it_replaces():
    first, back = deployed("v42", 9, "v41"), deployed("v41", 8, "v42")
    known = good(deployed("v41", 50), first, back)
    assert (known.version, known.passed_over) == ("v41", ())


def test_an_incident_that_began_before_a_version_does_not_count_against_it():
    known = good(deployed("v40", 50), deployed("v41", 5, "v40"), deployed("v40", 3, "v41"), incidents=[failed(4.5)])
    assert known.version == "v40"


def test_an_incident_just_before_a_deployment_counts_against_that_version():
    incidents = [(START - 5 * HOUR - 30_000, "P2")]
    known = good(deployed("v40", 50), deployed("v41", 5, "v40"), incidents=incidents)
    assert known.version == "v40"


def test_an_incident_before_all_known_deployments_counts_against_no_version():
    assert good(deployed("v41", 5, "v40"), incidents=[failed(6)]).version == "v41"


@pytest.mark.parametrize(("severity", "version"), [("P1", "v40"), ("P2", "v40"), ("P3", "v40"), ("P4", "v41")])
def test_a_p4_counts_against_no_version(severity, version):
    known = good(deployed("v40", 50), deployed("v41", 5, "v40"), incidents=[failed(4, severity)])
    assert known.version == version


def test_a_version_that_was_live_for_minutes_is_not_known_good():
    known = good(deployed("v40", 50), deployed("v41", 0.1, "v40"))
    assert (known.version, known.passed_over) == ("v40", ("v41 was live for only 5 min 40 s",))
    known = good(deployed("v41", 0.1, "v40"))
    assert (known.version, known.live_ms) == ("v41", None)


def test_the_version_before_all_bad_ones_is_assumed_to_be_good():
    known = good(deployed("v41", 5, "v40"), incidents=[failed(4)])
    assert (known.version, known.live_ms, known.is_bad) == ("v40", None, False)
    assert known.passed_over[0].startswith("v41 had an incident")


def test_if_every_version_is_bad_the_nearest_is_taken():
    known = good(deployed("v41", 5), incidents=[failed(4)])
    assert (known.version, known.is_bad) == ("v41", True)


def test_an_unreported_deployment_leaves_the_end_of_the_previous_version_unknown():
    known = good(deployed("v38", 50))
    assert (known.version, known.live_ms) == ("v41", None)
    known = good(deployed("v37", 90), deployed("v38", 50, "v37"))
    assert (known.version, known.live_ms) == ("v37", 40 * HOUR)
    assert known.passed_over[0] == "v41 is not known to have been live"


def test_other_kinds_and_names_do_not_count():
    others = [
        deployed("v40", 50, kind="model"),
        deployed("v40", 40, name="greeting"),
        deployed("v40", 30, subject=None, environment="production", kind="index"),
    ]
    assert good(*others).live_ms is None


def test_the_version_of_the_cause_is_never_the_target():
    known = good(deployed("v42", 50), cause=deployment(from_version=None))
    assert known is None


# through the step


LINE = (deployed("v40", 50), deployed("v41", 5, "v40"), CAUSE)
BEFORE = drift("index_age_s", start=START - 4 * HOUR, now=90_000.0)


def rollback(incident):
    return next(step for step in incident.containment if step.action == "rollback")


def test_the_rollback_names_the_version_and_why():
    step = rollback(only(*LINE, drift("refused")))
    assert step.target == "prompt to v41 (last known good: live 4 h 59 min without an incident until 2026-11-24 03:11Z)"
    assert (step.to_version, "last known good version" in step.reason) == ("v41", True)


def test_an_incident_of_the_previous_version_moves_the_target_one_further_back():
    history = [*LINE, BEFORE, later(BEFORE, 600), tick(START - HOUR), drift("refused")]
    step = rollback(list(newest(*history).values())[-1])
    assert step.to_version == "v40"
    assert step.reason.endswith("last known good version (v41 had an incident at 2026-11-23 23:12Z)")


def test_the_order_of_arrival_does_not_matter():
    slow = BEFORE.model_copy(update={"detected_at": START + 2 * HOUR, "updated_at": START + 2 * HOUR})
    refused = drift("refused")
    messages = [refused, later(refused, 600), tick(START + HOUR), slow]
    expected = newest(*LINE, *messages)
    first, second = expected.values()
    assert (first.failure_mode, rollback(second).to_version) == ("stale_index", "v40")
    for order in itertools.permutations(LINE):
        known = newest(*messages, *order).values()
        refusals = [incident for incident in known if incident.failure_mode == "refusal_spike"]
        assert [rollback(incident) for incident in refusals] == [rollback(second)]


def test_a_deployment_of_the_known_good_version_is_the_rollback():
    back = deployment("d-43", before_s=-600, from_version="v42", to_version="v40")
    history = [*LINE, BEFORE, later(BEFORE, 600), tick(START - HOUR), drift("refused"), back, tick(START + HOUR)]
    incident = list(newest(*history).values())[-1]
    assert "It was rolled back at 03:22:00Z." in incident.summary
    assert [entry.text for entry in incident.log if entry.at == back.timestamp] == [
        "rolled back: prompt v42 -> v40 (d-43)"
    ]


def test_a_dropped_deployment_is_no_longer_known():
    settings = CorrelateSettings(deployments_max=1)
    step = rollback(only(*LINE, drift("refused"), settings=settings))
    assert step.target == "prompt to v41"
    assert step.reason.endswith("return to v41, which is not known to be good or bad")


def test_the_deployment_of_the_previous_version_is_not_the_rollback():
    earlier = deployment("d-41", before_s=1_800, from_version="v40", to_version="v41")
    incident = only(earlier, deployment(), drift("refused"))
    assert "rolled back" not in incident.summary
    assert rollback(incident).to_version == "v41"


def test_a_version_of_a_shared_component_is_not_one_of_the_subject():
    shared = deployment(
        "d-7", subject=None, environment="production", before_s=86_400, from_version=None, to_version="guardrail-7"
    )
    specific = deployment(from_version=None)
    assert rollback(only(shared, specific, drift("refused", environment="production"))).to_version is None
