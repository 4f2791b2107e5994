from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, later, only, tick


def test_a_refusal_spike_after_a_prompt_change_is_told_in_three_sentences():
    assert only(deployment(), drift()).summary == (
        "support-bot refuses 9.1 % of requests, normally 1.0 %, since 03:12:00Z. "
        "Most likely cause: prompt v41 -> v42, deployed 03:11:40Z, 20 s before the start. "
        "First: roll back prompt to v41."
    )


def test_a_stale_index_names_what_else_moved():
    index = deployment("d-50", kind="index", from_version="idx-9", to_version="idx-10")
    summary = only(index, drift("index_age_s", now=93_600.0), drift("retrieval_score")).summary
    assert summary.startswith("support-bot answers from an index 1 d 2 h old, normally 1 h, since 03:12:00Z. ")
    assert "Also off: retrieval_score." in summary
    assert "First: roll back index to idx-9." in summary


def test_of_many_other_signals_four_are_named_and_the_rest_counted():
    signals = ("refused", "empty", "confidence", "similarity", "hallucinated", "thumbs_down", "length")
    summary = only(*(drift(signal, now=0.05) for signal in signals)).summary
    assert "Also off: confidence, hallucinated, length, refused and 2 more." in summary


def test_a_signal_without_a_phrase_of_its_own_is_told_by_its_name():
    assert "support-bot has queue_depth up: 1.08 requests, normally 0.77 requests" in only(drift("queue_depth")).summary


def test_a_channel_other_than_the_location_is_named():
    summary = only(drift("latency_ms", channel="high_tail", now=2400.0, normal=2000.0)).summary
    assert "has the high values of latency_ms up: 2,400 ms, normally 2,000 ms" in summary


def test_a_channel_whose_usual_value_has_moved_far_is_told_as_the_value():
    summary = only(drift("latency_ms", channel="high_tail", now=4000.0, normal=2000.0)).summary
    assert "support-bot takes 4,000 ms to answer, normally 2,000 ms" in summary


def test_the_usual_value_names_the_incident_before_its_tails():
    tail = drift("latency_ms", channel="high_tail", drift_id="tail", start=START - SECOND, now=900.0)
    assert "takes 1,120 ms to answer" in only(tail, drift("latency_ms")).summary


def test_a_change_at_the_very_start_is_told_so():
    assert "deployed 03:12:00Z, at the start." in only(deployment(before_s=0), drift()).summary


def test_a_segment_is_named():
    assert "9.1 % of requests (tenant=acme), normally 1.0 %" in only(drift(segment="tenant=acme")).summary


def test_signals_that_are_back_are_told_in_the_past_without_orders():
    summary = only(drift(), later(drift(), 115)).summary
    assert summary.startswith("All signals are back since 03:14:00Z. support-bot refused 9.1 % of requests")
    assert "First:" not in summary


def test_a_resolved_incident_says_when_and_after_how_long():
    summary = only(drift(), later(drift(), 115), tick(START + 30 * MINUTE)).summary
    assert summary.startswith("Resolved at 03:19:00Z, 7 min after the start.")


def test_a_shift_that_stands_out_is_not_called_a_deployment():
    shift = drift("input_tokens", start=START - SECOND)
    summary = only(drift("jailbreak_suspected"), shift).summary
    assert "Most likely cause: input_tokens up (input shift); no deployment explains it." in summary


def test_what_a_person_wrote_in_a_deployment_stays_out():
    written = deployment(summary="customer Jane Doe asked for this", author="jane")
    assert "Jane" not in only(written, drift()).model_dump_json()


def test_the_same_change_by_environment_says_whom_else_it_touches():
    change = deployment(subject=None, environment="production", expect_shift=["latency_ms"])
    [suspect] = only(change, drift(environment="production")).suspects
    assert "it touches environment production, this subject with others" in suspect.reason
    assert "it declared that it moves latency_ms" in suspect.reason
