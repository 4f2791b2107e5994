"""Which drifts form one incident and which form two."""

import itertools

import pytest

from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, command, drift, later, newest, only, tick

REFUSED = drift("refused")


def count(*contracts, settings=None):
    return len(newest(*contracts, settings=settings))


def test_signals_that_begin_together_are_one_incident_whatever_their_layer():
    assert count(REFUSED, drift("latency_ms", start=START + 30 * SECOND)) == 1


def test_signals_of_one_family_within_the_window_are_one_incident():
    assert count(REFUSED, drift("hallucinated", start=START + 8 * MINUTE)) == 1


def test_signals_of_one_family_beyond_the_window_are_two():
    assert count(REFUSED, drift("hallucinated", start=START + 11 * MINUTE)) == 2


def test_an_index_that_goes_stale_while_refusals_are_high_is_a_second_incident():
    stale = [drift(signal, start=START + 11 * MINUTE) for signal in ("index_age_s", "retrieval_score")]
    both = newest(REFUSED, *stale)
    assert [incident.failure_mode for incident in both.values()] == ["refusal_spike", "stale_index"]
    assert [incident.status for incident in both.values()] == ["open", "open"]


def test_an_index_that_goes_stale_soon_after_refusals_is_a_second_incident_too():
    assert count(REFUSED, drift("index_age_s", start=START + 5 * MINUTE)) == 2


def test_outputs_that_fail_soon_after_the_data_join_the_incident_of_the_data():
    incident = only(drift("index_age_s"), drift("hallucinated", start=START + 5 * MINUTE))
    assert incident.failure_mode == "stale_index"
    assert any("downstream" in entry.text for entry in incident.log)


def test_a_drift_joins_the_open_incident_with_the_nearest_start():
    stale = drift("index_age_s", start=START + 9 * MINUTE)
    both = newest(REFUSED, stale, drift("confidence", start=START + 9 * MINUTE + 30 * SECOND))
    assert [{line.signal for line in incident.evidence} for incident in both.values()] == [
        {"refused"},
        {"index_age_s", "confidence"},
    ]


def test_a_signal_joins_the_incident_that_already_has_it_even_if_another_is_nearer():
    stale = drift("index_age_s", start=START + 9 * MINUTE)
    again = drift("refused", start=START + 9 * MINUTE, drift_id="again")
    both = newest(REFUSED, stale, again)
    assert [len(incident.evidence) for incident in both.values()] == [2, 1]


def test_a_signal_detected_late_joins_by_its_start_and_not_by_its_detection():
    assert count(REFUSED, drift("thumbs_down", after_s=3_000)) == 1


def test_a_recovery_counts_as_a_change_of_the_incident():
    recovered = later(REFUSED, 10 * 60)
    again = drift("refused", start=START + 14 * MINUTE)
    assert count(REFUSED, recovered, again) == 1
    assert count(REFUSED, drift("hallucinated", start=START + 14 * MINUTE)) == 2


def test_other_subjects_never_join():
    assert count(REFUSED, drift("refused", subject="search")) == 2


def test_a_drift_that_began_before_the_resolution_reopens_the_incident():
    history = [REFUSED, later(REFUSED, 60), tick(START + 8 * MINUTE)]
    assert only(*history).status == "resolved"
    incident = only(*history, drift("hallucinated", after_s=600))
    assert incident.status == "open"
    assert incident.resolved_at is None
    assert any(entry.event == "reopened" for entry in incident.log)


def test_a_drift_that_begins_after_the_resolution_opens_another_incident():
    assert count(REFUSED, later(REFUSED, 60), tick(START + 8 * MINUTE), drift("empty", start=START + 9 * MINUTE)) == 2


def flapping(times, every_s):
    """A signal that fires for a minute and recovers, several times."""
    messages = []
    for number in range(times):
        start = START + number * every_s * SECOND
        firing = drift("refused", start=start, drift_id=f"refused-{number}")
        messages += [firing, later(firing, 60), tick(start + 8 * MINUTE)]
    return messages


def test_a_flapping_signal_is_one_incident_that_reopens():
    incident = only(*flapping(6, every_s=15 * 60))
    assert incident.status == "resolved"
    assert [entry.text for entry in incident.log if entry.event == "reopened"] == [
        "reopened: refused left its baseline again"
    ] * 5
    assert len(incident.evidence) >= 1


def test_a_signal_that_fires_again_much_later_opens_another_incident():
    assert count(*flapping(2, every_s=60 * 60)) == 2
    assert count(*flapping(2, every_s=15 * 60), settings=CorrelateSettings(reopen_window_s=0)) == 2


def test_a_signal_that_fires_again_after_a_person_resolved_it_opens_another_incident():
    firing = drift("refused")
    closed = command("resolve", only(firing).incident_id)
    assert count(firing, later(firing, 60), closed, drift("refused", start=START + 10 * MINUTE, drift_id="again")) == 2


@pytest.mark.parametrize("action", ["resolve", "accept"])
def test_nothing_joins_an_incident_that_a_person_closed(action):
    closed = command(action, only(REFUSED).incident_id)
    both = newest(REFUSED, closed, drift("pii_detected", start=START + SECOND))
    assert [(incident.severity, incident.status) for incident in both.values()] == [("P3", "resolved"), ("P1", "open")]


def test_a_cause_never_opens_an_incident():
    assert count(drift("input_tokens")) == 0


def test_tickets_open_incidents_and_stay_p4():
    incident = only(drift("refused", tier="ticket"), drift("length", tier="ticket"))
    assert (incident.severity, incident.status) == ("P4", "open")


def test_a_wider_window_joins_more():
    pair = (REFUSED, drift("hallucinated", start=START + 11 * MINUTE))
    assert count(*pair, settings=CorrelateSettings(join_window_s=1_200)) == 1


def test_a_drift_that_began_long_before_an_incident_does_not_join_it():
    assert count(REFUSED, drift("hallucinated", start=START - 20 * MINUTE, after_s=1_300)) == 2


ATTACK, STALE, POOR = drift("jailbreak_suspected"), drift("index_age_s"), drift("retrieval_score")


@pytest.mark.parametrize("order", list(itertools.permutations([ATTACK, STALE, POOR])))
def test_unrelated_failures_that_begin_in_the_same_second_are_two_incidents_whichever_is_seen_first(order):
    both = newest(*order)
    assert {frozenset(line.signal for line in incident.evidence) for incident in both.values()} == {
        frozenset({"jailbreak_suspected"}),
        frozenset({"index_age_s", "retrieval_score"}),
    }


@pytest.mark.parametrize("order", list(itertools.permutations(["pii_detected", "refused", "latency_ms", "length"])))
def test_one_deployment_that_moves_many_signals_at_once_is_one_incident(order):
    assert count(*(drift(signal, start=START + second * SECOND) for second, signal in enumerate(order))) == 1


@pytest.mark.parametrize("pair", [("jailbreak_suspected", "refused"), ("jailbreak_suspected", "policy_violation")])
def test_an_attack_and_what_it_does_to_outputs_are_one_incident(pair):
    assert count(*map(drift, pair)) == 1
