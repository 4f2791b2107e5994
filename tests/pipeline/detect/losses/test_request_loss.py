"""A loss of requests that lasts becomes a ticket, and what is normal for traffic does not."""

import random

import numpy as np
import pytest

from pipeline.detect.losses import RequestLoss
from pipeline.detect.settings import DetectSettings
from pipeline.detect.traffic import MinuteRequests
from schemas.baseline import Traffic
from tests.pipeline.detect.traffic.minutes import (
    DAY,
    SEEDS,
    SILENCE_AFTER_S,
    THURSDAY,
    baseline_with,
    daily_cycle,
    draw,
    is_weekend,
    learned,
    minute_requests,
    office_hours,
    request_loss,
)

FRIDAY = THURSDAY + DAY
FLAT = Traffic(requests_per_minute=[120.0] * 24, dispersion=1.0)


def findings_of(rng, means_of, spread=1.0, days=1, change=lambda means: means):
    """The findings after a baseline of the Thursday, from Friday on."""
    traffic = learned(draw(rng, means_of(DAY + 60, THURSDAY), spread))
    assert traffic is not None
    counts = draw(rng, change(means_of(days * DAY, FRIDAY)), spread)
    return request_loss(traffic).observe(minute_requests(counts, FRIDAY), SILENCE_AFTER_S)


def fired(findings):
    return [finding for finding in findings if finding.state == "firing"]


def minutes_to_tickets(per_minute, factor, share, *, hour=10, spread=1.0):
    """For each seed, the minutes from a loss at an hour of the Friday to its ticket, in order. A missed loss takes a day."""
    begin = hour * 60

    def lose(means):
        return np.where(np.arange(means.size) >= begin, means * share, means)

    delays = []
    for seed in SEEDS:
        findings = findings_of(
            np.random.default_rng(seed), lambda n, start: daily_cycle(n, per_minute, factor, start), spread, change=lose
        )
        tickets = fired(findings)
        assert len(tickets) <= 1
        delays.append(tickets[0].detected_at // 60_000 - FRIDAY - begin if tickets else DAY)
    return sorted(delays)


class TestLosses:
    @pytest.mark.parametrize(("factor", "hour"), [(1, 10), (10, 10), (10, 18)])
    def test_sixty_percent_of_two_requests_per_second_are_missed_within_ten_minutes(self, factor, hour):
        delays = minutes_to_tickets(120, factor, 0.4, hour=hour)
        assert np.median(delays) <= 10
        assert min(delays) >= 4
        assert max(delays) <= 25

    def test_ninety_percent_are_missed_after_four_minutes(self):
        assert max(minutes_to_tickets(120, 1, 0.1)) <= 5

    def test_sixty_percent_of_a_request_every_five_seconds_are_missed_within_two_hours(self):
        """A loss that takes more than two hours to show may stay unknown."""
        delays = minutes_to_tickets(12, 1, 0.4)
        assert np.median(delays) <= 75
        assert sum(delay <= 150 for delay in delays) >= 16

    def test_ninety_percent_of_a_request_every_five_seconds_are_missed_within_fifteen_minutes(self):
        delays = minutes_to_tickets(12, 1, 0.1)
        assert np.median(delays) <= 10
        assert max(delays) <= 15

    def test_more_spread_takes_longer_in_proportion(self):
        assert 10 <= np.median(minutes_to_tickets(120, 1, 0.4, spread=3.0)) <= 40

    def test_it_is_reported_once_and_repeated_until_it_recovers(self):
        def lose(means):
            index = np.arange(means.size)
            return np.where((index >= 600) & (index < 720), means * 0.4, means)

        rng = np.random.default_rng(SEEDS[0])
        findings = findings_of(rng, lambda n, start: daily_cycle(n, 120, 1, start), change=lose)
        assert [finding.state for finding in findings] == ["firing", "evidence", "evidence", "evidence", "recovered"]
        assert [finding.sequence for finding in findings] == [0, 1, 2, 3, 4]
        first, last = findings[0], findings[-1]
        assert abs(first.started_at // 60_000 - FRIDAY - 600) <= 1
        assert first.now == pytest.approx(0.8, abs=0.12)
        assert first.normal == pytest.approx(2.0, abs=0.12)
        assert first.effect == pytest.approx(0.4, abs=0.06)
        assert (first.tier, first.side, first.signal.failure_mode) == ("ticket", "down", "throughput_loss")
        assert 720 + 4 <= last.updated_at // 60_000 - FRIDAY <= 720 + 10
        assert last.now == pytest.approx(2.0, abs=0.25)

    def test_it_does_not_become_normal_within_a_day(self):
        rng = np.random.default_rng(SEEDS[1])
        findings = findings_of(
            rng,
            lambda n, start: daily_cycle(n, 120, 3, start),
            days=2,
            change=lambda means: np.where(np.arange(means.size) >= 300, means * 0.4, means),
        )
        assert len(fired(findings)) == 1
        assert "recovered" not in {finding.state for finding in findings}

    def test_the_sentence_says_how_many_requests_are_left_and_how_many_are_normal(self):
        counts = [120] * 60 + [48] * 30
        first = request_loss(FLAT).observe(minute_requests(counts), SILENCE_AFTER_S)[0]
        assert first.sentence.startswith(
            "requests fell to 0.8 per second, normally 2 at this hour (40 %), since 01:00:00Z; ticket: evidence "
        )


QUIET = {
    "flat": lambda n, start: daily_cycle(n, 120, 1, start),
    "few": lambda n, start: daily_cycle(n, 1.2, 1, start),
    "daily cycle of a factor of ten": lambda n, start: daily_cycle(n, 120, 10, start),
    "few with a daily cycle of a factor of ten": lambda n, start: daily_cycle(n, 12, 10, start),
    "office hours": lambda n, start: office_hours(n, 120, start),
    "office hours with some requests at night": lambda n, start: office_hours(n, 120, start, night=0.05),
    "office hours with a busier weekend": lambda n, start: office_hours(n, 120, start, night=0.05, weekend=0.3),
    "a weekend that begins at midnight with six requests in ten": lambda n, start: (
        daily_cycle(n, 120, 1.5, start) * np.where(is_weekend(n, start), 0.6, 1.0)
    ),
    "a job that sends ten times as many requests in the first minute of each hour": lambda n, start: (
        daily_cycle(n, 120, 3, start) * np.where(np.arange(start, start + n) % 60 == 0, 10, 1)
    ),
    "bursts of five minutes and pauses of ten": lambda n, start: np.where(
        np.arange(start, start + n) % 15 < 5, 30, 0.5
    ),
    "a batch job in the night": lambda n, start: (
        daily_cycle(n, 20, 1, start) + np.where((np.arange(start, start + n) % DAY) // 135 == 1, 300, 0)
    ),
}


@pytest.mark.parametrize("world", QUIET)
@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_healthy_traffic_of_eight_days_after_a_baseline_of_a_thursday_is_no_loss(world, spread):
    for seed in SEEDS[:10]:
        findings = findings_of(np.random.default_rng(seed), QUIET[world], spread, days=8)
        assert findings == [], seed


def ramp(share, minutes):
    """Means that change gradually to a share of them."""

    def change(means):
        return means * np.interp(np.arange(means.size), [600, 600 + minutes], [1.0, share])

    return change


def spike(means):
    index = np.arange(means.size)
    return np.where((index >= 600) & (index < 720), means * 4, means)


def bursts(means):
    return np.where(np.arange(means.size) % 97 == 0, means * 10, means)


CHANGES = {
    "half of the requests within an hour": (ramp(0.5, 60), 2),
    "three times as many within a day": (ramp(3.0, DAY), 7),
    "a third within a week": (ramp(1 / 3, 7 * DAY), 9),
    "a campaign of two hours with four times as many, and its end": (spike, 2),
    "bursts": (bursts, 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_is_gradual_or_an_excess_is_no_loss(change):
    apply, days = CHANGES[change]
    for seed in SEEDS[:10]:
        rng = np.random.default_rng(seed)
        assert findings_of(rng, lambda n, start: daily_cycle(n, 120, 3, start), days=days, change=apply) == [], seed


def test_a_loss_of_a_service_that_has_grown_for_weeks_is_found():
    rng = np.random.default_rng(SEEDS[2])
    loss = request_loss(learned(draw(rng, daily_cycle(DAY + 60, 120, 2))))
    counts = draw(rng, daily_cycle(28 * DAY, 120, 2, FRIDAY) * np.linspace(1, 2, 28 * DAY))
    assert loss.observe(minute_requests(counts, FRIDAY), SILENCE_AFTER_S) == []
    later = FRIDAY + 28 * DAY
    counts = draw(rng, daily_cycle(60, 96, 2, later))  # 0.4 times the doubled requests
    (first, *_) = loss.observe(minute_requests(counts, later), SILENCE_AFTER_S)
    assert first.detected_at // 60_000 - later <= 25


def test_three_minutes_without_requests_are_no_loss():
    counts = [120] * 60 + [0] * 3 + [120] * 60
    assert request_loss(FLAT).observe(minute_requests(counts), SILENCE_AFTER_S) == []


def test_five_minutes_without_requests_are_a_loss_unless_they_are_a_silence():
    counts = [120] * 60 + [0] * 5 + [120] * 60
    assert fired(request_loss(FLAT).observe(minute_requests(counts), SILENCE_AFTER_S))
    assert request_loss(FLAT).observe(minute_requests(counts), 300.0) == []


def test_a_long_silence_starts_the_recent_level_again():
    """After a night without anybody, the first requests are compared with the minutes after it."""
    counts = [120] * 60 + [0] * 700 + [30] * 60
    assert request_loss(FLAT).observe(minute_requests(counts), SILENCE_AFTER_S) == []


def test_a_minute_whose_requests_are_not_known_resets_the_evidence():
    minutes = minute_requests([120] * 60 + [10] * 60)
    unknown = [one._replace(requests=float("nan")) if one.minute % 4 == 0 else one for one in minutes]
    assert request_loss(FLAT).observe(minutes, SILENCE_AFTER_S)
    assert request_loss(FLAT).observe(unknown, SILENCE_AFTER_S) == []


def test_without_a_profile_nothing_is_a_loss():
    assert request_loss(None).observe(minute_requests([120] * 60 + [10] * 60), SILENCE_AFTER_S) == []


def test_sampled_requests_have_the_spread_of_their_weights():
    """One record in ten stands for ten requests. As independent requests, these counts would be a loss of 60 %."""
    for seed in SEEDS:
        counts = draw(np.random.default_rng(seed), np.full(7 * DAY, 1.2))
        weighted = [
            MinuteRequests(one.minute, 10 * one.requests, 100 * one.requests, one.empty_after)
            for one in minute_requests(counts)
        ]
        level = Traffic(requests_per_minute=[12.0] * 24, dispersion=1.0)
        assert request_loss(level).observe(weighted, SILENCE_AFTER_S) == [], seed


def test_an_accepted_rate_becomes_the_new_normal():
    loss = request_loss(FLAT)
    minutes = minute_requests([120] * 60 + [48] * 120)
    assert fired(loss.observe(minutes, SILENCE_AFTER_S))
    now_ms = (THURSDAY + 180) * 60_000
    (ended,) = loss.close(now_ms, accept=True)
    assert (ended.state, ended.updated_at) == ("recovered", now_ms)
    assert not loss.is_open
    assert loss.observe(minute_requests([48] * 120, THURSDAY + 180), SILENCE_AFTER_S) == []
    assert fired(loss.observe(minute_requests([19] * 60, THURSDAY + 300), SILENCE_AFTER_S))


def test_another_baseline_ends_the_loss_and_expects_its_own_requests():
    loss = request_loss(FLAT)
    loss.observe(minute_requests([120] * 60 + [48] * 60), SILENCE_AFTER_S)
    assert len(loss.close((THURSDAY + 120) * 60_000, accept=False)) == 1
    loss.apply_baseline(baseline_with(Traffic(requests_per_minute=[50.0] * 24, dispersion=1.0)))
    assert loss.observe(minute_requests([48] * 120, THURSDAY + 120), SILENCE_AFTER_S) == []


def test_a_gap_resets_the_evidence_but_leaves_the_loss_open():
    loss = request_loss(FLAT)
    assert fired(loss.observe(minute_requests([120] * 60 + [48] * 60), SILENCE_AFTER_S))
    loss.reset()
    assert loss.is_open
    findings = loss.observe(minute_requests([120] * 60, THURSDAY + 120), SILENCE_AFTER_S)
    assert [finding.state for finding in findings if finding.state != "evidence"] == ["recovered"]


def test_a_restart_between_any_two_minutes_changes_nothing():
    rng = np.random.default_rng(SEEDS[3])
    means = daily_cycle(900, 20, 3)
    means[300:450] *= 0.2
    minutes = minute_requests(draw(rng, means))
    unbroken = request_loss(FLAT.model_copy(update={"requests_per_minute": [20.0] * 24}))
    profile = unbroken._profile
    expected = unbroken.observe(minutes, SILENCE_AFTER_S)
    assert {finding.state for finding in expected} == {"firing", "evidence", "recovered"}
    loss, findings, start = unbroken, [], 0
    loss = RequestLoss(DetectSettings())
    loss._profile = profile
    for end in [*sorted(random.Random(1).sample(range(1, len(minutes)), 60)), len(minutes)]:
        findings += loss.observe(minutes[start:end], SILENCE_AFTER_S)
        state, start = loss.dump(), end
        loss = RequestLoss(DetectSettings())
        loss._profile = profile
        loss.load(state)
    assert findings == expected
    assert loss.dump() == unbroken.dump()
