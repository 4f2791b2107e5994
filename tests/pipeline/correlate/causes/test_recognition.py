"""An incident is named after what its drifts say together, where that is more than each says alone."""

import itertools

import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.severity.rule import DriftConditions
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS
from schemas.deployment import DeploymentKind
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later, newest, only, tick

COMPOSED = [name for name, mode in MODES.items() if mode.signatures]


def slow(**fields):
    return drift("latency_ms", provider="openai", **fields)


def failing(**fields):
    return drift("error", provider="openai", **fields)


def longer(**fields):
    return drift("input_tokens", now=3_000.0, normal=900.0, **fields)


def cut_off():
    return drift("finish_reason_usual", side="down", normal=0.95, now=0.7)


def mode(*contracts):
    return only(*contracts).failure_mode


@pytest.mark.parametrize("name", COMPOSED)
def test_what_moves_together_is_named_as_drifts_name_it(name):
    signals = {row.name for row in (*SIGNALS, *CATEGORIES, *EVENTS)}
    kinds = set(DeploymentKind.__args__)
    for each in MODES[name].signatures:
        for part in (*each.moving, *each.unmoved):
            first, _, rest = part.partition(" ")
            known = part in MODES or part in kinds or (first == "of" and rest.startswith("one "))
            assert known or (first in signals and rest in ("", "up", "down")), part


def test_answers_cut_off_by_longer_inputs_are_a_token_budget_exhausted():
    assert mode(cut_off()) == "context_window_misuse"
    assert mode(cut_off(), longer()) == "token_budget_exhaustion"
    assert mode(cut_off(), longer(side="down")) == "context_window_misuse"


def test_answers_cut_off_because_they_are_longer_are_one_too():
    assert mode(cut_off(), drift("length", side="up")) == "token_budget_exhaustion"
    assert mode(cut_off(), drift("length", side="down")) == "verbosity_drift"


def test_errors_of_longer_inputs_are_one_and_are_throttled():
    incident = only(failing(), slow(), longer())
    assert (incident.failure_mode, incident.title) == (
        "token_budget_exhaustion",
        "Token budget exhausted in support-bot",
    )
    assert incident.runbook == "docs/runbooks/token_budget_exhaustion.md"
    assert incident.containment[0].action == "throttle"


def test_inputs_that_grew_at_another_time_do_not_count():
    assert mode(failing(), longer(start=START - 11 * MINUTE)) == "outage"
    assert mode(failing(), longer(start=START - 9 * MINUTE)) == "token_budget_exhaustion"


def test_errors_and_latency_at_normal_load_are_the_providers():
    incident = only(failing(now=0.4), slow())
    assert (incident.failure_mode, incident.severity, incident.severity_rule) == (
        "provider_degradation",
        "P2",
        "heavy_errors",
    )
    assert [step.action for step in incident.containment] == ["throttle", "kill_switch", "investigate"]


def test_one_of_them_alone_is_not():
    assert mode(failing()) == "outage"
    assert mode(slow()) == "latency_degradation"


@pytest.mark.parametrize("signal", ["queue_depth", "gpu_utilization", "cpu_utilization"])
def test_at_a_load_of_ours_that_rose_they_are_not_the_providers(signal):
    assert mode(failing(), slow(), drift(signal)) == "outage"


def test_without_a_provider_they_are_not():
    assert mode(drift("error"), drift("latency_ms")) == "outage"


def test_a_deployment_of_ours_that_explains_them_is_the_better_name():
    ours = deployment(kind="dependency", name="sdk")
    assert mode(failing(), slow(), ours) == "outage"
    assert mode(failing(), slow(), deployment(before_s=3_000)) == "provider_degradation"


def test_a_providers_own_word_is_enough_with_one_of_them():
    status = deployment(kind="provider_status", subject=None, provider="openai")
    assert mode(slow(), status) == "provider_degradation"
    assert mode(failing(), status) == "provider_degradation"
    assert mode(drift("refused", provider="openai"), status) == "refusal_spike"


def test_one_provider_of_several_is_enough_with_one_of_them():
    assert mode(slow(segment="provider=openai")) == "provider_degradation"
    assert mode(slow(segment="region=eu-west")) == "latency_degradation"


def test_causes_name_the_incident_however_bad_the_symptom_is():
    stale, broken = drift("index_age_s", now=90_000.0), drift("retrieval_score", normal=0.77, now=0.1)
    incident = only(stale, broken)
    assert (incident.failure_mode, incident.severity_rule) == ("stale_index", "retrieval_broken")
    assert mode(broken) == "retrieval_quality"
    assert mode(drift("filter_triggered", side="up", now=0.05), drift("refused", now=0.6)) == "filter_over_blocking"
    assert mode(drift("filter_triggered", side="down", now=0.0), drift("refused", now=0.6)) == "filter_disabled"
    assert mode(drift("empty", now=0.1), drift("repeated", now=0.9)) == "empty_output"


def test_harm_keeps_its_name_whatever_else_moves():
    assert mode(drift("pii_detected"), failing(), slow(), longer()) == "pii_exposure"


def test_a_name_stays_when_its_parts_are_back():
    broken, delayed = failing(), slow()
    incident = only(broken, delayed, later(delayed, 60), later(broken, 120), tick(START + 20 * MINUTE))
    assert (incident.status, incident.failure_mode) == ("resolved", "provider_degradation")


def test_the_order_of_arrival_does_not_matter():
    status = deployment(kind="provider_status", subject=None, provider="openai", before_s=60)
    messages = [failing(), slow(), longer(), status]
    names = {
        incident.failure_mode
        for order in itertools.permutations(messages)
        for incident in newest(*order, tick(START + MINUTE)).values()
    }
    assert names == {"token_budget_exhaustion"}


def test_a_rule_cannot_ask_one_drift_for_what_several_say():
    with pytest.raises(
        ValueError, match=r"told by several drifts, and a rule asks one: name latency_degradation, outage"
    ):
        DriftConditions(failure_modes=("provider_degradation",))
    assert DriftConditions(failure_modes=("stale_index",)).failure_modes == ("stale_index",)
