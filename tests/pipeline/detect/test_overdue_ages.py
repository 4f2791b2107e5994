"""A rebuild that is missed is found, and rebuilds that are only irregular are not."""

import numpy as np
import orjson
import pytest

from pipeline.codec import encode
from pipeline.detect.monitor import Monitor
from pipeline.detect.offline import learn_history, read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.aged_worlds import DAY_S, HOUR_S, NOON_S, age_blocks, ages_at, learn_ages, nightly
from tests.pipeline.detect.streams import message

SETTINGS = DetectSettings(ready_records=1000, ready_records_rate=500)
NIGHT_S = NOON_S + 14 * HOUR_S
"""Two o'clock in the first night."""


def observe(monitor, resets, from_s, until_s, **world):
    return [
        finding
        for part in age_blocks(resets, until_s, from_s=from_s, **world)
        for finding in monitor.observe(part)
        if finding.signal.name == "index_age_s"
    ]


def fired(findings):
    return [finding for finding in findings if finding.state == "firing" and finding.channel == "overdue"]


def after_s(finding, at_s):
    return finding.detected_at / 1000 - at_s


def test_a_missed_nightly_rebuild_is_a_ticket_within_half_an_hour_from_the_second_day():
    monitor = Monitor(learn_ages(nightly(2), NOON_S + DAY_S, SETTINGS), SETTINGS)
    findings = observe(monitor, nightly(2), NOON_S + DAY_S, NOON_S + 3 * DAY_S, size=4)
    [ticket] = fired(findings)
    assert 20 * 60 <= after_s(ticket, NIGHT_S + DAY_S) <= 30 * 60
    assert (ticket.tier, ticket.side, ticket.channel) == ("ticket", "up", "overdue")
    assert ticket.normal == pytest.approx(DAY_S, abs=30)
    assert ticket.now == pytest.approx(DAY_S + 22 * 60, abs=60)
    assert (ticket.effect, ticket.effect_kind) == (pytest.approx(ticket.now / ticket.normal, rel=1e-4), "ratio")
    assert ticket.sentence.startswith("index_age_s is overdue: 24.4 h, longest known 24.0 h, since 02:20:")
    reports = [finding for finding in findings if finding.state == "evidence" and finding.channel == "overdue"]
    assert reports[-1].now == pytest.approx(ticket.now + 3600, abs=180)
    assert "still outside its baseline: 25.4 h, longest known 24.0 h, since" in reports[-1].sentence


def test_a_missed_nightly_rebuild_pages_within_half_an_hour_after_a_week():
    monitor = Monitor(learn_ages(nightly(8), NOON_S + 7 * DAY_S, SETTINGS), SETTINGS)
    findings = observe(monitor, nightly(8), NOON_S + 7 * DAY_S, NOON_S + 9 * DAY_S)
    first = {finding.tier: after_s(finding, NIGHT_S + 7 * DAY_S) for finding in fired(findings)}
    assert first.keys() == {"page", "ticket"}
    assert 20 * 60 <= first["ticket"] < first["page"] <= 30 * 60


def test_the_rebuild_ends_it():
    resets = [*nightly(2), NIGHT_S + 2 * DAY_S + HOUR_S]
    monitor = Monitor(learn_ages(resets, NOON_S + DAY_S, SETTINGS), SETTINGS)
    findings = observe(monitor, resets, NOON_S + DAY_S, NOON_S + 3 * DAY_S, every_s=10.0)
    [first, *_, recovered] = [finding for finding in findings if finding.channel == "overdue"]
    assert (first.state, recovered.state) == ("firing", "recovered")
    assert 0 < recovered.updated_at / 1000 - resets[-1] < 2 * HOUR_S
    assert recovered.now == pytest.approx(recovered.updated_at / 1000 - resets[-1], abs=10)
    assert "longest known 24.0 h" in recovered.sentence
    assert not monitor.bank.latched.any()


@pytest.mark.parametrize("seed", range(8))
def test_a_nightly_rebuild_that_varies_by_five_minutes_is_silent_for_four_weeks(seed):
    random = np.random.default_rng(seed)
    resets = (np.array(nightly(30)) + random.uniform(-300, 300, 30)).tolist()
    monitor = Monitor(learn_ages(resets, NOON_S + DAY_S, SETTINGS), SETTINGS)
    assert [test.reason for test in monitor.not_testable if test.channel == "overdue"] == [
        "a page needs at least 7 resets, and its baseline has 1"
    ]
    assert observe(monitor, resets, NOON_S + DAY_S, NOON_S + 29 * DAY_S, every_s=60.0) == []


def test_irregular_rebuilds_are_found_late_but_do_not_page():
    lengths_h = np.array([20.0, 30.0, 9.0, 41.0, 22.0, 28.0, 17.0, 25.0])
    resets = (NOON_S - HOUR_S + HOUR_S * np.concatenate([[0.0], lengths_h.cumsum()])).tolist()
    until_s = resets[-1] + HOUR_S
    monitor = Monitor(learn_ages(resets, until_s, SETTINGS), SETTINGS)
    [reason] = [test.reason for test in monitor.not_testable if test.key[1:] == ("overdue", "up", "page")]
    assert reason == "its resets vary too much for a page, by 9 h 31 min (standard deviation)"
    [ticket] = fired(observe(monitor, resets, until_s, resets[-1] + 60 * HOUR_S))
    assert ticket.tier == "ticket"
    assert 20 * 60 <= after_s(ticket, resets[-1] + 41 * HOUR_S) <= 30 * 60
    later = [*resets, resets[-1] + 40 * HOUR_S, resets[-1] + 75 * HOUR_S]
    monitor = Monitor(learn_ages(resets, until_s, SETTINGS), SETTINGS)
    assert observe(monitor, later, until_s, later[-1] + 20 * HOUR_S) == []


def test_a_missed_weekly_rebuild_is_found_within_half_an_hour():
    resets = [NOON_S - DAY_S + week * 7 * DAY_S for week in range(5)]
    until_s = resets[-1] + DAY_S
    monitor = Monitor(learn_ages(resets, until_s, SETTINGS, every_s=120.0), SETTINGS)
    [ticket] = fired(observe(monitor, resets, until_s, until_s + 9 * DAY_S, every_s=120.0))
    assert 20 * 60 <= after_s(ticket, resets[-1] + 7 * DAY_S) <= 30 * 60
    assert "7.02 d" not in ticket.sentence
    assert "168.4 h, longest known 168.0 h" in ticket.sentence


def test_an_age_that_grows_through_the_first_day_is_not_tested_and_says_so():
    baseline = learn_ages(nightly(1), NOON_S + DAY_S, SETTINGS)
    monitor = Monitor(baseline, SETTINGS)
    reasons = {test.reason for test in monitor.not_testable if test.channel == "overdue"}
    assert reasons == {"it was never reset while the baseline was learned, so its longest age is not known"}
    assert fired(observe(monitor, nightly(1), NOON_S + DAY_S, NOON_S + 5 * DAY_S)) == []


def test_one_server_of_ten_that_does_not_load_the_new_index_is_found():
    resets = nightly(10)

    def one_server(ages, times_s):
        return np.where((np.arange(ages.size) % 10 == 0) & (times_s > NIGHT_S + 8 * DAY_S), times_s - resets[8], ages)

    baseline = learn_ages(resets, NOON_S + 8 * DAY_S, SETTINGS)
    findings = observe(
        Monitor(baseline, SETTINGS), resets, NOON_S + 8 * DAY_S, NOON_S + 9 * DAY_S, every_s=3.0, change=one_server
    )
    first = {finding.tier: finding for finding in reversed(fired(findings))}
    assert first.keys() == {"page", "ticket"}
    assert all(20 * 60 <= after_s(finding, NIGHT_S + 8 * DAY_S) <= 40 * 60 for finding in first.values())
    # The age of the old index, although most records have the new one.
    assert first["page"].now > DAY_S


LATE_EVENING = {"from_s": NOON_S + 7 * DAY_S + 12 * HOUR_S, "until_s": NIGHT_S + 7 * DAY_S + 2 * HOUR_S, "every_s": 2.0}


def every_twentieth_is_old(ages, times_s):
    return np.where((np.arange(ages.size) % 20 == 7) & (times_s > NIGHT_S + 7 * DAY_S), times_s - nightly(8)[7], ages)


def test_the_old_index_of_a_small_tenant_does_not_page_and_that_of_all_tenants_does():
    baseline, labels = learn_ages(nightly(8), NOON_S + 7 * DAY_S, SETTINGS), {"tenant": [f"t{n}" for n in range(20)]}
    of_one = observe(
        Monitor(baseline, SETTINGS), nightly(9), **LATE_EVENING, labels=labels, change=every_twentieth_is_old
    )
    assert [(finding.tier, finding.segment) for finding in fired(of_one)] == [("ticket", "")]
    overdue = [finding for finding in of_one if finding.channel == "overdue"]
    assert "all in tenant=t7" in overdue[-1].sentence
    of_all = observe(Monitor(baseline, SETTINGS), nightly(8), **LATE_EVENING, labels=labels)
    assert {finding.tier for finding in fired(of_all) if not finding.segment} == {"page", "ticket"}


def test_a_version_with_an_old_index_is_named_with_its_age():
    baseline = learn_ages(nightly(8), NOON_S + 7 * DAY_S, SETTINGS)
    labels = {"index": [f"i{number == 7:d}" for number in range(20)]}
    findings = observe(
        Monitor(baseline, SETTINGS), nightly(9), **LATE_EVENING, labels=labels, change=every_twentieth_is_old
    )
    [of_version] = [finding for finding in fired(findings) if finding.segment]
    assert (of_version.tier, of_version.segment) == ("page", "index=i1")
    assert of_version.now == pytest.approx(of_version.detected_at / 1000 - nightly(8)[7], abs=1)
    assert of_version.sentence.startswith(
        "index_age_s in index=i1 is overdue: 24.5 h, longest known 24.0 h, since 02:19"
    )


def test_an_age_with_a_daily_profile_is_compared_as_it_is():
    resets = nightly(9)
    baseline = learn_ages(resets, NOON_S + 8 * DAY_S, SETTINGS)
    assert baseline.signals["index_age_s"].profile is not None
    findings = observe(Monitor(baseline, SETTINGS), resets, NOON_S + 8 * DAY_S, NOON_S + 10 * DAY_S)
    overdue = [finding for finding in findings if finding.channel == "overdue"]
    assert {finding.tier for finding in fired(findings)} == {"page", "ticket"}
    for finding in overdue:
        at_s = np.array([finding.updated_at / 1000])
        assert finding.now == pytest.approx(ages_at(at_s, resets)[0], abs=31), finding.sentence
        assert finding.normal == pytest.approx(DAY_S, abs=30)


def test_records_without_an_age_show_nothing():
    baseline = learn_ages(nightly(2), NOON_S + DAY_S, SETTINGS)

    def absent(ages, times_s):
        return np.where(times_s > NIGHT_S + DAY_S, np.nan, ages)

    monitor = Monitor(baseline, SETTINGS)
    assert observe(monitor, nightly(2), NOON_S + DAY_S, NOON_S + 3 * DAY_S, change=absent) == []


def test_a_restart_between_any_two_blocks_changes_nothing():
    resets = [*nightly(2), NIGHT_S + DAY_S + 2 * HOUR_S]
    baseline = learn_ages(nightly(2), NOON_S + DAY_S, SETTINGS)
    parts = list(age_blocks(resets, NOON_S + 2 * DAY_S, from_s=NIGHT_S + DAY_S - HOUR_S, every_s=5.0))
    monitor, restarted = Monitor(baseline, SETTINGS), Monitor(baseline, SETTINGS)
    found = []
    for part in parts:
        state = restarted.dump()
        restarted = Monitor(baseline, SETTINGS)
        restarted.load(state)
        findings = monitor.observe(part)
        assert restarted.observe(part) == findings
        found += findings
    assert encode(restarted.dump(), kind="monitor") == encode(monitor.dump(), kind="monitor")
    assert [finding.state for finding in found if finding.channel == "overdue" and finding.state != "evidence"] == [
        "firing",
        "recovered",
    ]


def age_messages(resets, from_s, until_s, *, every_s=20.0):
    times_s = np.arange(from_s, until_s, every_s)
    for number, (time_s, age) in enumerate(zip(times_s.tolist(), ages_at(times_s, resets).tolist(), strict=True)):
        yield orjson.dumps(
            {
                "subject": "bot",
                "request_id": f"r-{from_s}-{number}",
                "timestamp": round(time_s * 1000),
                "data": {"index_age_s": round(age)},
            }
        )


def test_a_file_and_a_live_stream_know_the_same_and_find_the_same():
    live = DetectStep(0, SETTINGS, replay=True)
    until_s = NOON_S + DAY_S + 60
    values = [*age_messages(nightly(2), NOON_S, until_s), *age_messages(nightly(2), until_s, NOON_S + 2 * DAY_S)]
    outputs = live.step([message(index, value) for index, value in enumerate(values)])
    [ticket] = [drift for drift in read_drifts(outputs) if drift.state == "firing"]
    assert ticket.detected_at / 1000 - (NIGHT_S + DAY_S) == pytest.approx(21 * 60, abs=120)
    assert (ticket.channel, ticket.tier, ticket.unit) == ("overdue", "ticket", "s")
    learned = live.streams["bot"].monitor.baseline
    from_file = learn_history(values[: learned.records], SETTINGS, subject="bot").baselines["bot"]
    assert from_file.signals == learned.signals
    assert from_file.signals["index_age_s"].ages.resets == 1


def test_a_renewed_baseline_knows_the_ages_that_the_one_before_it_knew():
    step = DetectStep(0, SETTINGS, replay=True)
    values = [*age_messages(nightly(4), NOON_S, NIGHT_S + 3 * DAY_S + HOUR_S, every_s=60.0)]
    outputs = step.step([message(index, value) for index, value in enumerate(values)])
    first, *renewed = [Baseline.from_json(output.value) for output in outputs if output.topic == BASELINES]
    assert (first.source, renewed[-1].source) == ("live", "renewed")
    assert renewed[-1].signals["index_age_s"].ages == first.signals["index_age_s"].ages
    [ticket] = [drift for drift in read_drifts(outputs) if drift.state == "firing" and drift.channel == "overdue"]
    assert ticket.detected_at / 1000 == pytest.approx(NIGHT_S + 3 * DAY_S + 24 * 60, abs=180)


def test_an_age_that_a_person_accepts_is_known_and_a_longer_one_is_reported_again():
    settings = SETTINGS.model_copy(update={"ready_records": 100, "relearn_after_s": 3600.0, "ready_after_s": DAY_S})
    step = DetectStep(0, settings, replay=True)
    until_s, accepted_s = NIGHT_S + DAY_S + HOUR_S, NIGHT_S + DAY_S + 2 * HOUR_S + 600
    values = [*age_messages(nightly(2), NOON_S, until_s)]
    outputs = step.step([message(index, value) for index, value in enumerate(values)])
    request = Relearn(
        relearn_id="r", subject="bot", at=round(until_s * 1000), signals=["index_age_s"], reason="accepted"
    )
    step.control(RawMessage(BASELINES, 0, 0, 0, b"bot", request.to_json()))
    values = [*age_messages(nightly(2), until_s, accepted_s)]
    outputs += step.step([message(10_000 + index, value) for index, value in enumerate(values)])
    accepted = step.streams["bot"].monitor.baseline
    cycles = accepted.signals["index_age_s"].ages
    assert (accepted.source, cycles.resets) == ("accepted", 1)
    assert cycles.longest == pytest.approx(26 * HOUR_S, abs=60)
    values = [*age_messages(nightly(2), accepted_s, accepted_s + HOUR_S)]
    outputs += step.step([message(20_000 + index, value) for index, value in enumerate(values)])
    drifts = read_drifts(outputs)
    assert [drift.state for drift in drifts if drift.state != "evidence"] == ["firing", "recovered", "firing"]
    assert drifts[-1].normal == pytest.approx(26 * HOUR_S, abs=60)
    assert drifts[-1].detected_at / 1000 == pytest.approx(NIGHT_S + DAY_S + 2 * HOUR_S + 21 * 60, abs=120)
