import pytest

from pipeline.review.material import material
from pipeline.review.minutes import hit, lines, worst
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, later
from tests.pipeline.review.worlds import baseline, drifts, revisions, series, world


def test_revisions_in_any_order_are_put_in_theirs_and_one_told_twice_counts_once():
    told = revisions()
    made = material([*reversed(told), told[0]])
    assert [each.revision for each in made.revisions] == list(range(1, len(told) + 1))
    assert made.revisions_missing == 0


def test_revisions_of_two_incidents_or_none_are_refused():
    first = revisions()[0]
    with pytest.raises(ValueError, match="a review is of one incident"):
        material([first, first.model_copy(update={"incident_id": "inc-other", "revision": 2})])
    with pytest.raises(ValueError, match="a review is of one incident"):
        material([])


def test_only_deployments_that_touch_the_subject_from_an_hour_before_the_start_to_the_end_are_kept():
    given = [
        deployment("long-before", before_s=3601),
        deployment("before", before_s=3600),
        deployment("elsewhere", subject="search"),
        deployment("everywhere", subject=None, environment="production"),
        deployment("other-environment", subject=None, environment="staging"),
        deployment("after", before_s=-3600),
        deployment("before", before_s=3599),
    ]
    kept = world(deployments=given).deployments
    assert [each.deployment_id for each in kept] == ["before", "everywhere"]
    assert kept[0].timestamp == START - 3599 * 1000


def test_drifts_of_the_evidence_are_kept_and_others_of_the_subject_in_the_same_time():
    beside = drift("input_tokens", start=START - 5 * MINUTE)
    long_ago = drift("input_tokens", start=START - 300 * MINUTE, drift_id="long-ago")
    elsewhere = drift("input_tokens", subject="search", drift_id="elsewhere")
    kept = world(drifts=[*drifts(), *drifts(), beside, long_ago, elsewhere]).drifts
    assert len(kept) == len(drifts()) + 1
    assert beside in kept


def test_the_baseline_is_the_one_that_the_evidence_names_and_else_the_newest():
    judged, newer, other = baseline("refused"), baseline("error", version="b-2"), baseline("x", subject="search")
    assert world(baselines=[judged, newer, other]).baseline == judged
    assert world(baselines=[judged, newer, other], drifts=[]).baseline == newer
    assert world(baselines=[other]).baseline is None


def test_a_series_gives_a_line_for_all_records_and_one_for_each_version():
    found = lines(drifts()[:1])
    assert [(line.name, line.by_minute) for line in found] == [("", True), ("prompt=v41", True), ("prompt=v42", True)]
    assert found[0].times[0] == START - 10 * MINUTE + MINUTE // 2
    assert found[2].values[12] == 0.9
    assert found[2].values[0] != found[2].values[0], "a minute without records has no value"


def test_a_value_without_values_in_its_unit_is_told_by_its_messages():
    ranks = [each.model_copy(update={"values": []}) for each in series()]
    first = drift("latency_ms", series=ranks)
    [line] = lines([first, later(first, 60)])
    assert not line.by_minute
    assert line.values == (800.0, first.now, 800.0)


def test_without_messages_there_is_no_line():
    assert lines([]) == []
    assert worst([]) is None
    assert hit([]) is None


def test_records_hit_are_counted_by_minute_until_the_recovery():
    messages = [each for each in drifts() if each.signal == "refused"]
    found = hit(messages)
    whole = series()[0]
    assert found is not None
    assert found.records == sum(whole.records[10:21])
    assert found.had == pytest.approx(
        sum(n * mean for n, mean in list(zip(whole.records, whole.means, strict=False))[10:21])
    )
    assert found.normal == pytest.approx(0.01 * found.records)


def test_without_a_series_the_last_message_before_the_recovery_counts_them():
    messages = [each for each in drifts(by_minute=False) if each.signal == "refused"]
    found = hit(messages)
    assert found is not None
    assert (found.records, found.had) == (420, 42.0)
    assert worst(messages).now == 0.1


def test_of_a_value_nothing_says_how_many_were_hit():
    assert hit([drift("latency_ms")]) is None
