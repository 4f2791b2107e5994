"""The table of failure modes, and the mode that the drifts of an incident show together."""

import itertools

import pytest

from pipeline.correlate.playbook.failure_modes import DOWNSTREAM, MODES, failure_mode_of, naming_rank
from pipeline.correlate.severity.rule import DriftConditions
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS, custom_signal
from schemas.deployment import DeploymentKind
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later, newest, only, tick

FROM_THE_CATALOGUE = sorted(
    {row.failure_mode for row in (*SIGNALS, *CATEGORIES, *EVENTS, custom_signal("toxicity", "rate"))}
)


@pytest.mark.parametrize("name", FROM_THE_CATALOGUE)
def test_every_failure_mode_of_the_catalogue_has_a_row(name):
    assert name in MODES


@pytest.mark.parametrize("name", sorted({row.failure_mode for row in SIGNALS if row.role != "cause"}))
def test_the_layer_of_a_mode_is_that_of_one_of_its_signals(name):
    assert MODES[name].layer in {row.layer for row in SIGNALS if row.failure_mode == name}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_the_last_containment_step_of_every_mode_is_to_investigate(mode):
    assert mode.containment[-1] == "investigate"
    assert len(set(mode.containment)) == len(mode.containment)


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_no_kind_of_change_is_both_a_usual_and_a_possible_cause(mode):
    assert not set(mode.usual_causes) & set(mode.possible_causes)
    assert all(mode.fit(kind) == 1.0 for kind in mode.usual_causes)
    assert all(mode.fit(kind) == 0.6 for kind in mode.possible_causes)
    assert mode.fit("other") == 0.2


def test_harmful_modes_begin_with_the_kill_switch_or_a_filter():
    safety = [mode for mode in MODES.values() if mode.family == "safety" and mode.name != "filter_over_blocking"]
    assert {mode.containment[0] for mode in safety} == {"kill_switch", "filter"}


def test_a_filter_that_triggers_less_often_is_disabled_and_not_over_blocking():
    assert failure_mode_of(drift("filter_triggered")).name == "filter_over_blocking"
    assert failure_mode_of(drift("filter_triggered", side="down")).name == "filter_disabled"


def test_an_agent_that_makes_fewer_tool_calls_does_not_loop_but_lacks_its_tools():
    assert failure_mode_of(drift("tool_calls", side="up")).name == "agent_loop"
    assert failure_mode_of(drift("tool_calls", side="down")).name == "tool_failures"


def test_a_mode_that_the_table_lacks_is_unknown():
    assert failure_mode_of(drift(failure_mode="quantum_decoherence")).name == "unknown"


def test_causes_come_before_their_symptoms():
    for cause, symptom in (
        ("stale_index", "retrieval_quality"),
        ("retrieval_quality", "hallucination_spike"),
        ("outage", "empty_output"),
        ("hallucination_spike", "negative_feedback"),
        ("refusal_spike", "verbosity_drift"),
    ):
        assert naming_rank(MODES[cause]) < naming_rank(MODES[symptom])


def test_outputs_are_downstream_and_affect_no_other_family():
    assert "output" not in DOWNSTREAM
    assert all(spoiled == ("output",) for spoiled in DOWNSTREAM.values())


# recognised from several drifts


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
def test_signatures_use_names_that_drifts_have(name):
    signals = {row.name for row in (*SIGNALS, *CATEGORIES, *EVENTS)}
    kinds = set(DeploymentKind.__args__)
    for signature in MODES[name].signatures:
        for part in (*signature.moving, *signature.steady):
            first, _, rest = part.partition(" ")
            known = part in MODES or part in kinds or (first == "of" and rest.startswith("one "))
            assert known or (first in signals and rest in ("", "up", "down")), part


def test_cut_off_answers_with_longer_inputs_are_an_exhausted_token_budget():
    assert mode(cut_off()) == "context_window_misuse"
    assert mode(cut_off(), longer()) == "token_budget_exhaustion"
    assert mode(cut_off(), longer(side="down")) == "context_window_misuse"


def test_cut_off_answers_that_are_longer_are_one_too():
    assert mode(cut_off(), drift("length", side="up")) == "token_budget_exhaustion"
    assert mode(cut_off(), drift("length", side="down")) == "verbosity_drift"


def test_refusals_with_a_finish_reason_of_their_own_are_refusals():
    refused = drift("refused", tier="ticket", normal=0.02, now=0.05)
    assert mode(cut_off(), refused) == "refusal_spike"
    assert mode(drift("finish_reason_new", normal=0.0, now=0.3), refused) == "refusal_spike"


def test_longer_inputs_that_fill_more_of_the_window_exhaust_nothing():
    fuller = drift("context_fraction", normal=0.3, now=0.5)
    assert mode(fuller, longer()) == "context_window_misuse"
    assert mode(fuller, longer(), cut_off()) == "token_budget_exhaustion"


def test_slow_and_expensive_requests_of_a_looping_agent_are_a_loop():
    steps = drift("steps", normal=3.0, now=12.0, effect=0.4, effect_kind="rank_shift")
    cost = drift("cost", normal=0.01, now=0.04)
    for contracts in ((slow(), steps), (cost, steps), (steps, slow(), cost)):
        assert mode(*contracts) == "agent_loop"
    incident = only(cost, steps)
    assert (incident.severity, incident.severity_rule) == ("P2", "budget_burning")


def test_a_loop_over_a_failing_tool_is_a_tool_failure():
    assert mode(drift("steps", normal=3.0, now=12.0), drift("tool_error", normal=0.01, now=0.1)) == "tool_failures"


def test_errors_with_longer_inputs_are_one_and_are_throttled():
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


def test_errors_and_latency_at_normal_load_are_a_degraded_provider():
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
def test_errors_and_latency_at_a_higher_load_of_ours_are_not(signal):
    assert mode(failing(), slow(), drift(signal)) == "outage"


def test_errors_and_latency_without_a_provider_are_not():
    assert mode(drift("error"), drift("latency_ms")) == "outage"


def test_errors_and_latency_after_a_deployment_of_the_subject_are_not():
    deployed = deployment(kind="dependency", name="sdk")
    assert mode(failing(), slow(), deployed) == "outage"
    assert mode(failing(), slow(), deployment(before_s=3_000)) == "provider_degradation"


def test_a_provider_status_with_errors_or_latency_is_a_degraded_provider():
    status = deployment(kind="provider_status", subject=None, provider="openai")
    assert mode(slow(), status) == "provider_degradation"
    assert mode(failing(), status) == "provider_degradation"
    assert mode(drift("refused", provider="openai"), status) == "refusal_spike"


def test_latency_of_one_provider_among_several_is_a_degraded_provider():
    assert mode(slow(segment="provider=openai")) == "provider_degradation"
    assert mode(slow(segment="region=eu-west")) == "latency_degradation"


def test_the_cause_names_the_incident_however_bad_the_symptom_is():
    stale, broken = drift("index_age_s", now=90_000.0), drift("retrieval_score", normal=0.77, now=0.1)
    incident = only(stale, broken)
    assert (incident.failure_mode, incident.severity_rule) == ("stale_index", "retrieval_broken")
    assert mode(broken) == "retrieval_quality"
    assert mode(drift("filter_triggered", side="up", now=0.05), drift("refused", now=0.6)) == "filter_over_blocking"
    assert mode(drift("filter_triggered", side="down", now=0.0), drift("refused", now=0.6)) == "filter_disabled"
    assert mode(drift("empty", now=0.1), drift("repeated", now=0.9)) == "empty_output"


def test_a_harmful_mode_names_the_incident_whatever_else_moves():
    assert mode(drift("pii_detected"), failing(), slow(), longer()) == "pii_exposure"


def test_a_recognised_mode_stays_when_its_drifts_recover():
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


def test_a_rule_cannot_name_a_mode_that_needs_several_drifts():
    with pytest.raises(
        ValueError,
        match=r"recognised from several drifts, but a rule is evaluated on a single drift: use latency_degradation, outage",
    ):
        DriftConditions(failure_modes=("provider_degradation",))
    assert DriftConditions(failure_modes=("stale_index",)).failure_modes == ("stale_index",)
