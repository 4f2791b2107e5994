import pytest

from pipeline.correlate.playbook.failure_modes import DOWNSTREAM, MODES, failure_mode_of, naming_rank
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS, custom_signal
from pipeline.wording import nearest
from tests.pipeline.correlate.builders import drift

FROM_THE_CATALOGUE = sorted(
    {row.failure_mode for row in (*SIGNALS, *CATEGORIES, *EVENTS, custom_signal("toxicity", "rate"))}
)


@pytest.mark.parametrize("name", FROM_THE_CATALOGUE)
def test_every_failure_mode_of_the_catalogue_has_a_row(name):
    assert name in MODES


@pytest.mark.parametrize("name", sorted({row.failure_mode for row in SIGNALS if row.role != "cause"}))
def test_the_layer_of_a_mode_is_that_of_a_signal_that_names_it(name):
    assert MODES[name].layer in {row.layer for row in SIGNALS if row.failure_mode == name}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_mode_ends_its_containment_by_investigating(mode):
    assert mode.contain[-1] == "investigate"
    assert len(set(mode.contain)) == len(mode.contain)


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_no_kind_of_change_is_both_a_usual_and_a_possible_cause(mode):
    assert not set(mode.strong) & set(mode.possible)
    assert all(mode.fit(kind) == 1.0 for kind in mode.strong)
    assert all(mode.fit(kind) == 0.6 for kind in mode.possible)
    assert mode.fit("other") == 0.2


def test_modes_that_can_harm_people_switch_off_or_filter_first():
    safety = [mode for mode in MODES.values() if mode.family == "safety" and mode.name != "filter_over_blocking"]
    assert {mode.containment[0] for mode in safety} == {"kill_switch", "filter"}


def test_a_filter_that_triggers_less_is_disabled_and_not_over_blocking():
    assert failure_mode_of(drift("filter_triggered")).name == "filter_over_blocking"
    assert failure_mode_of(drift("filter_triggered", side="down")).name == "filter_disabled"


def test_a_mode_that_the_table_lacks_is_unknown():
    assert failure_mode_of(drift(failure_mode="quantum_decoherence")).name == "unknown"


def test_causes_stand_before_their_symptoms():
    for cause, symptom in (
        ("stale_index", "retrieval_quality"),
        ("retrieval_quality", "hallucination_spike"),
        ("outage", "empty_output"),
        ("hallucination_spike", "negative_feedback"),
        ("refusal_spike", "verbosity_drift"),
    ):
        assert naming_rank(MODES[cause]) < naming_rank(MODES[symptom])


def test_outputs_are_downstream_and_spoil_nothing():
    assert "output" not in DOWNSTREAM
    assert all(spoiled == ("output",) for spoiled in DOWNSTREAM.values())


def test_the_nearest_name_is_the_one_that_looks_alike():
    assert nearest("refusal_spke", MODES) == "refusal_spike"
