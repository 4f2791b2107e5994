import numpy as np
import pytest

from pipeline.detect.detectors.demotion import DAY_MS, Demotion
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import BY_NAME, blocks, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


def rate_test(signal, tier="page"):
    return OneSidedTest(BY_NAME[signal], "rate", "up", tier, 0.02, 0.02, np.zeros(8), 0.01, 0.01, 1.0, 28.0)


def test_the_third_page_within_a_day_is_proposed():
    demotion = Demotion([rate_test("corrected"), rate_test("thumbs_down")])
    assert [demotion.record_firing(0, time_ms) for time_ms in (0, 1000, DAY_MS, DAY_MS + 1001)] == [
        False,
        False,
        True,
        False,
    ]
    assert not demotion.record_firing(1, 1001)


def test_two_pages_per_day_are_not_proposed():
    demotion = Demotion([rate_test("corrected")])
    assert not any(demotion.record_firing(0, half * DAY_MS // 2 + half) for half in range(20))


@pytest.mark.parametrize(
    ("signal", "tier"), [("pii_detected", "page"), ("error", "page"), ("refused", "page"), ("corrected", "ticket")]
)
def test_a_severe_failure_or_a_ticket_is_never_proposed(signal, tier):
    demotion = Demotion([rate_test(signal, tier)])
    assert not any(demotion.record_firing(0, time_ms) for time_ms in range(10))
    assert demotion.dump() == []


def test_the_state_is_bounded_and_can_be_restored():
    demotion, other = Demotion([rate_test("corrected")]), Demotion([rate_test("corrected")])
    for time_ms in range(100):
        demotion.record_firing(0, time_ms)
    assert demotion.dump() == [[["corrected", "rate", "up", "page"], [97, 98, 99]]]
    other.load(demotion.dump())
    assert other.record_firing(0, 100)


def test_the_state_is_restored_by_the_key_of_the_test():
    demotion, other = Demotion([rate_test("corrected")]), Demotion([rate_test("thumbs_down"), rate_test("corrected")])
    demotion.record_firing(0, 97)
    other.load(demotion.dump())
    assert other.dump() == demotion.dump()
    gone = Demotion([rate_test("thumbs_down")])
    gone.load(demotion.dump())
    assert gone.dump() == []


def test_the_third_page_of_a_day_names_the_proposal():
    baseline = learned(normal_world(1, 40_000), REPLAY)
    world = normal_world(2, 60_000)
    bad = (np.arange(60_000) // 10_000) % 2 == 1
    world["confidence"][bad] *= 0.7
    monitor = Monitor(baseline, REPLAY)
    pages = [finding for part in blocks(world) for finding in monitor.observe(part) if finding.tier == "page"]
    pages = [finding for finding in pages if finding.channel == "location"]
    fired = [finding for finding in pages if finding.state == "firing"]
    assert [finding.demote for finding in fired] == [False, False, True]
    assert fired[2].sentence.endswith("a ticket and a new baseline are proposed")
    assert not any("proposed" in finding.sentence for finding in pages if finding.detected_at != fired[2].detected_at)
    assert all("proposed" in finding.sentence for finding in pages if finding.state == "evidence" and finding.demote)
