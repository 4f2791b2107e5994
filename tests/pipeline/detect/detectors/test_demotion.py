import numpy as np
import pytest

from pipeline.detect.detectors.demotion import DAY_MS, Demotion
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import BY_NAME, blocks, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


def side(signal, tier="page"):
    return OneSidedTest(BY_NAME[signal], "rate", "up", tier, 0.02, np.zeros(8), 0.01, 0.01, 1.0, 28.0)


def test_the_third_page_within_a_day_is_one_too_many():
    demotion = Demotion([side("corrected"), side("thumbs_down")])
    assert [demotion.proposed(0, time_ms) for time_ms in (0, 1000, DAY_MS, DAY_MS + 1001)] == [
        False,
        False,
        True,
        False,
    ]
    assert not demotion.proposed(1, 1001)


def test_two_a_day_are_as_many_as_a_team_can_take():
    demotion = Demotion([side("corrected")])
    assert not any(demotion.proposed(0, half * DAY_MS // 2 + half) for half in range(20))


@pytest.mark.parametrize(
    ("signal", "tier"), [("pii_detected", "page"), ("error", "page"), ("refused", "page"), ("corrected", "ticket")]
)
def test_a_grave_failure_or_a_ticket_is_never_proposed(signal, tier):
    demotion = Demotion([side(signal, tier)])
    assert not any(demotion.proposed(0, time_ms) for time_ms in range(10))
    assert demotion.dump() == []


def test_what_is_kept_is_bounded_and_taken_up_again():
    demotion, other = Demotion([side("corrected")]), Demotion([side("corrected")])
    for time_ms in range(100):
        demotion.proposed(0, time_ms)
    assert demotion.dump() == [[0, [97, 98, 99]]]
    other.load(demotion.dump())
    assert other.proposed(0, 100)


def test_the_third_page_of_a_day_says_so():
    baseline = learned(normal_world(1, 40_000), REPLAY)
    world = normal_world(2, 60_000)
    bad = (np.arange(60_000) // 10_000) % 2 == 1
    world["confidence"][bad] *= 0.7
    judge = Monitor(baseline, REPLAY)
    pages = [each for part in blocks(world) for each in judge.observe(part) if each.tier == "page"]
    pages = [each for each in pages if each.channel == "location"]
    fired = [each for each in pages if each.state == "firing"]
    assert [each.demote for each in fired] == [False, False, True]
    assert "proposed for a ticket and a new baseline" in fired[2].sentence
    assert not any("proposed" in each.sentence for each in pages if each.detected_at != fired[2].detected_at)
    assert all("proposed" in each.sentence for each in pages if each.state == "evidence" and each.demote)
