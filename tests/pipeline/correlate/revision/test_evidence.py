from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, drift, later, newest, only, revisions, tick


def spread(*places, after_s=5, **fields):
    """The same finding from several (partition, segment)."""
    return [
        drift(partition=partition, segment=segment, drift_id=f"{partition}{segment}", after_s=after_s + index, **fields)
        for index, (partition, segment) in enumerate(places)
    ]


def test_the_same_finding_from_several_partitions_is_one_line():
    assert len(only(*spread((0, ""), (1, ""), (2, ""), (3, ""))).evidence) == 1


def test_findings_more_than_a_minute_apart_are_two_lines():
    far = drift(partition=1, after_s=70, drift_id="far")
    assert len(only(drift(), far).evidence) == 2
    assert len(only(drift(), far, settings=CorrelateSettings(dedup_window_s=120)).evidence) == 1


def test_a_finding_lists_its_segments_and_has_the_numbers_of_the_full_subject():
    full = drift(after_s=9, drift_id="full", now=0.05)
    [line] = only(*spread((0, "tenant=b"), (0, "tenant=a"), now=0.4), full).evidence
    assert line.segments == ["tenant=a", "tenant=b"]
    assert line.now == 0.05
    assert line.drift_id == "full"
    assert line.detected_at == START + 5 * SECOND


def test_the_incident_lists_the_segments_of_all_its_findings():
    incident = only(*spread((0, "tenant=b")), drift("empty", segment="region=eu"))
    assert incident.segments == ["region=eu", "tenant=b"]


def test_a_line_has_recovered_when_all_its_partitions_have():
    first, second = spread((0, ""), (1, ""))
    half = only(first, second, later(first, 60))
    assert half.evidence[0].state == "firing"
    assert half.status == "open"
    assert only(first, second, later(first, 60), later(second, 70)).evidence[0].state == "recovered"


def test_each_channel_side_and_tier_is_a_separate_line():
    variants = [{}, {"channel": "high_tail"}, {"side": "down"}, {"tier": "ticket", "channel": "low_tail"}]
    drifts = [drift("latency_ms", drift_id=str(index), **fields) for index, fields in enumerate(variants)]
    assert len(only(*drifts).evidence) == 4


def test_a_ticket_that_repeats_a_page_is_a_line_only_if_it_outlasts_the_page():
    ticket, page = drift(tier="ticket", drift_id="ticket"), drift(after_s=6, drift_id="page")
    back = later(page, 60)
    assert [line.tier for line in only(ticket).evidence] == ["ticket"]
    assert [line.tier for line in only(ticket, page).evidence] == ["page"]
    assert [(line.tier, line.state) for line in only(ticket, page, back).evidence] == [
        ("ticket", "firing"),
        ("page", "recovered"),
    ]
    assert [line.tier for line in only(ticket, page, back, later(ticket, 90)).evidence] == ["page"]


def test_a_ticket_that_repeats_a_page_is_not_published_but_must_recover():
    page, ticket = drift(drift_id="page"), drift(after_s=6, tier="ticket", drift_id="ticket")
    assert len(revisions(page, ticket, later(ticket, 60, "evidence", now=0.5))) == 1
    back = [later(page, 120), tick(START + 30 * MINUTE)]
    assert only(page, ticket, *back).status == "open"
    assert only(page, ticket, *back, later(ticket, 600)).status == "resolved"


def test_a_second_drift_of_the_same_stream_is_a_separate_line():
    first = drift()
    again = drift(start=START + 20 * SECOND, drift_id="again")
    assert len(only(first, later(first, 10), again).evidence) == 2


def test_firing_page_lines_come_first():
    ticket = drift("length", tier="ticket")
    back = drift("empty", now=0.02)
    incident = only(ticket, back, later(back, 30), drift("refused", after_s=50))
    assert [(line.signal, line.state) for line in incident.evidence] == [
        ("refused", "firing"),
        ("length", "firing"),
        ("empty", "recovered"),
    ]


def test_evidence_is_limited_and_the_newest_is_left_out():
    drifts = [drift(f"{signal}", after_s=5 + index) for index, signal in enumerate(("refused", "empty", "length"))]
    incident = only(*drifts, settings=CorrelateSettings(evidence_max=2))
    assert [line.signal for line in incident.evidence] == ["refused", "empty"]


def test_newer_numbers_alone_are_not_published():
    opened = drift()
    assert (
        len(revisions(opened, later(opened, 10, "evidence", now=0.095), later(opened, 60, "evidence", sequence=2))) == 1
    )


def test_numbers_twice_as_far_from_normal_are_published():
    opened = drift()
    published = revisions(opened, later(opened, 60, "evidence", now=0.2, records=900))
    assert [revision.evidence[0].now for revision in published] == [0.091, 0.2]
    assert "20.0 % of requests" in published[-1].summary


def test_a_few_records_are_not_enough_for_a_worse_number():
    opened = drift()
    assert len(revisions(opened, later(opened, 10, "evidence", now=0.6, records=19))) == 1


def test_numbers_that_match_a_worse_rule_raise_the_severity():
    opened = drift("error", now=0.15)
    published = revisions(opened, later(opened, 60, "evidence", now=0.25, records=900))
    assert [revision.severity for revision in published] == ["P3", "P2"]
    assert "severity P3 -> P2" in published[-1].change


def test_severity_does_not_fall_when_the_numbers_do():
    opened = drift("error", now=0.3)
    assert only(opened, later(opened, 60, "evidence", now=0.03), later(opened, 90, sequence=2)).severity == "P2"


def test_a_repeated_or_late_message_changes_nothing():
    opened = drift()
    back = later(opened, 60, sequence=2)
    stale = later(opened, 30, "evidence", sequence=1, now=0.9)
    assert newest(opened, back, stale, opened, back) == newest(opened, back)


def test_a_drift_whose_first_message_was_lost_opens_an_incident_by_its_evidence():
    evidence = later(drift(), 60, "evidence")
    assert only(evidence).status == "open"
    assert only(evidence).incident_id != only(drift()).incident_id


def test_a_recovery_of_an_unknown_drift_is_ignored():
    assert newest(later(drift(), 5 * MINUTE / SECOND)) == {}


def test_an_incident_keeps_its_name_when_the_cause_recovers_before_the_symptom():
    cause, symptom = drift("index_age_s", now=90_000.0), drift("retrieval_score", now=0.6, effect=-0.3)
    incident = only(cause, symptom, later(cause, 60), later(symptom, 90, "evidence", now=0.42))
    assert incident.failure_mode == "stale_index"
