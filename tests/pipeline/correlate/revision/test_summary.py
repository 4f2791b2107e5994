import pytest

from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    AT_ONCE,
    MINUTE,
    SECOND,
    START,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    only,
    tick,
)


def only_after_restart(*contracts):
    """The newest revision of the only incident, if the step restarts before the last message."""
    *before, last = kafka(contracts)
    step, restored = CorrelateStep(AT_ONCE), CorrelateStep(AT_ONCE)
    step.step(before)
    assert list(restored.restore(part for part in step.changed() if part[1] is not None)) == []
    [incident] = incidents(restored.step([last]))
    return incident


def test_a_refusal_spike_after_a_prompt_change_is_three_sentences():
    assert only(deployment(), drift()).summary == (
        "support-bot refuses 9.1 % of requests at detection, normally 1.0 %, since 03:12:00Z. "
        "Most likely cause: prompt v41 -> v42, deployed 03:11:40Z, 20 s before the start. "
        "First: roll back prompt to v41."
    )


def test_a_stale_index_names_what_else_moved():
    index = deployment("d-50", kind="index", from_version="idx-9", to_version="idx-10")
    summary = only(index, drift("index_age_s", now=93_600.0), drift("retrieval_score")).summary
    assert summary.startswith(
        "support-bot answers from an index 1 d 2 h old at detection, normally 1 h, since 03:12:00Z. "
    )
    assert "Also affected: retrieval_score." in summary
    assert "First: roll back index to idx-9." in summary


def test_an_age_that_is_overdue_is_compared_with_the_longest_known_age():
    overdue = drift("index_age_s", channel="overdue", normal=86_400.0, now=90_360.0, effect=1.046, effect_kind="ratio")
    incident = only(overdue)
    assert incident.summary.startswith(
        "support-bot answers from an index 25.1 h old at detection, longest known 24.0 h, since 03:12:00Z. "
    )
    assert "(index_age_s 25.1 h at detection, longest known 24.0 h)" in incident.severity_reason


def test_a_change_of_shape_names_the_values_whose_share_changed():
    shares = {"channel": "shape", "tier": "ticket", "normal": 0.1, "now": 0.0, "values_to": 8.5, "unit": "ms"}
    incident = only(drift("latency_ms", **shares, effect=0.005, effect_kind="odds_ratio"))
    assert incident.summary.startswith(
        "support-bot has latency_ms under 8.5 ms in 0 % of records at detection, normally 10.0 %, since 03:12:00Z. "
    )
    assert incident.severity == "P4"
    assert "(latency_ms 0 % at detection, normally 10.0 %)" in incident.severity_reason


def test_four_other_signals_are_named_and_the_rest_counted():
    signals = ("refused", "empty", "confidence", "similarity", "hallucinated", "thumbs_down", "length")
    summary = only(*(drift(signal, now=0.05) for signal in signals)).summary
    assert "Also affected: confidence, hallucinated, length, refused and 2 more." in summary


def test_a_signal_without_a_phrase_is_described_by_its_name():
    summary = only(drift("queue_depth")).summary
    assert "support-bot shows a rise in queue_depth: 1.08 requests at detection, normally 0.77 requests" in summary


def test_a_channel_other_than_the_location_is_named():
    summary = only(drift("latency_ms", channel="high_tail", now=2400.0, normal=2000.0)).summary
    assert "shows a rise in high values of latency_ms: 2,400 ms at detection, normally 2,000 ms" in summary


def test_a_tail_far_from_normal_is_described_by_its_value():
    summary = only(drift("latency_ms", channel="high_tail", now=4000.0, normal=2000.0)).summary
    assert "support-bot takes 4,000 ms to answer at detection, normally 2,000 ms" in summary


def test_the_typical_value_names_the_incident_before_its_tails():
    tail = drift("latency_ms", channel="high_tail", drift_id="tail", start=START - SECOND, now=900.0)
    assert "takes 1,120 ms to answer" in only(tail, drift("latency_ms")).summary


def test_a_change_at_the_start_is_described_so():
    assert "deployed 03:12:00Z, at the start." in only(deployment(before_s=0), drift()).summary


def test_a_segment_is_named():
    assert "9.1 % of requests (tenant=acme) at detection, normally 1.0 %" in only(drift(segment="tenant=acme")).summary


def test_recovered_signals_are_described_in_the_past_without_instructions():
    summary = only(drift(), later(drift(), 115)).summary
    assert summary.startswith("All signals recovered at 03:14:00Z. support-bot refused 9.1 % of requests")
    assert "First:" not in summary


def test_a_later_value_has_its_time():
    worse = later(drift(), 60, "evidence", now=0.4, records=900)
    assert "refuses 40.0 % of requests at 03:13:05Z, normally 1.0 %, since" in only(drift(), worse).summary


@pytest.mark.parametrize("restart", [False, True])
def test_a_resolved_incident_is_told_at_its_worst_in_the_past(restart):
    reports = [
        drift(),
        later(drift(), 10, "evidence", now=0.16, records=734),
        later(drift(), 60, "evidence", sequence=2, now=0.09, records=2_000),
        later(drift(), 115, sequence=3, records=2_900),
        tick(START + 30 * MINUTE),
    ]
    incident = only_after_restart(*reports) if restart else only(*reports)
    assert "support-bot refused 16.0 % of requests at its worst, normally 1.0 %, from 03:12:00Z to 03:14:00Z." in (
        incident.summary
    )


def test_a_value_of_a_few_records_is_not_the_worst():
    few = later(drift(), 10, "evidence", now=1.0, records=drift().records + 5)
    summary = only(drift(), few, later(drift(), 115, sequence=2)).summary
    assert "refused 9.1 % of requests at its worst" in summary


def test_the_worst_of_a_fall_is_its_lowest_value():
    fallen = drift("retrieval_score", now=0.6)
    lower = later(fallen, 10, "evidence", now=0.4, records=900)
    assert "retrieval_score: 0.4 at its worst" in only(fallen, lower, later(fallen, 115, sequence=2)).summary


def test_a_cause_that_recovered_before_its_symptom_is_told_in_the_past():
    cause, symptom = drift("index_age_s", now=90_000.0), drift("retrieval_score", now=0.6)
    summary = only(cause, symptom, later(cause, 60)).summary
    assert "answered from an index 1 d 1 h old at its worst, normally 1 h, from 03:12:00Z to 03:13:05Z." in summary
    assert "Still affected: retrieval_score." in summary


def test_a_signal_that_still_fires_in_another_tier_is_told_in_the_present():
    page, ticket = drift(drift_id="page"), drift(drift_id="ticket", tier="ticket", now=0.05)
    summary = only(page, ticket, later(page, 60)).summary
    assert "support-bot refuses 5.0 % of requests at detection" in summary


def test_times_have_dates_if_the_incident_lasts_longer_than_a_day():
    back = later(drift(), 26 * 3600)
    resolved = only(deployment(), drift(), back, tick(back.updated_at + 30 * MINUTE)).summary
    assert "from 2026-11-24 03:12:00Z to 2026-11-25 05:12:05Z." in resolved
    assert resolved.startswith("Resolved at 2026-11-25 05:17:05Z, 1 d 2 h after the start.")
    assert "deployed 2026-11-24 03:11:40Z" in resolved


def test_a_resolved_incident_states_when_and_after_how_long():
    summary = only(drift(), later(drift(), 115), tick(START + 30 * MINUTE)).summary
    assert summary.startswith("Resolved at 03:19:00Z, 7 min after the start.")


def test_a_shift_that_stands_out_is_not_called_a_deployment():
    shift = drift("input_tokens", start=START - SECOND)
    summary = only(drift("jailbreak_suspected"), shift).summary
    assert "Most likely cause: input_tokens up (input shift); no deployment explains it." in summary


def test_the_summary_and_author_of_a_deployment_are_left_out():
    written = deployment(summary="customer Jane Doe asked for this", author="jane")
    assert "Jane" not in only(written, drift()).model_dump_json()


def test_a_change_of_an_environment_states_whom_it_affects():
    change = deployment(subject=None, environment="production", expect_shift=["latency_ms"])
    [suspect] = only(change, drift(environment="production")).suspects
    assert "it affects all subjects of environment production" in suspect.reason
    assert "it declared a shift of latency_ms" in suspect.reason


def test_a_broken_limit_is_compared_with_the_limit():
    limit = {"channel": "limit_p95", "detector": "limit", "normal": 5000.0, "now": 6450.0, "unit": "ms"}
    incident = only(drift("latency_ms", **limit, effect=1.29, effect_kind="ratio"))
    assert incident.summary.startswith(
        "support-bot shows a p95 of latency_ms above its limit: 6,450 ms at detection, limit 5,000 ms, since 03:12:00Z. "
    )
    assert "(latency_ms 6,450 ms at detection, limit 5,000 ms)" in incident.severity_reason
    rate = {"channel": "limit_rate", "detector": "limit", "normal": 0.05, "now": 0.12}
    summary = only(drift("error", **rate, effect=2.4, effect_kind="ratio")).summary
    assert "shows error above its limit: 12.0 % at detection, limit 5.0 %" in summary
