from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.sentence import DEMOTION
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from schemas.baseline import Channel, SignalBaseline
from tests.pipeline.detect.worlds import BY_NAME, START_MS

RATE = SignalBaseline(
    kind="rate",
    count=9000,
    mean=0.01,
    channels={"rate": Channel(mean=0.01, variance=0.01, autocorrelation_time=1, slice_deviation=0, count=9000)},
)
VALUE = SignalBaseline(
    kind="amount",
    count=9000,
    knots=[100.0, 200.0, 400.0, 800.0, 1600.0],
    channels={"location": Channel(mean=0.5, variance=0.08, autocorrelation_time=1, slice_deviation=0, count=9000)},
)
LATCH = Latch(0, "page_hinkley", START_MS, START_MS + 5000, 0, "r-1", 30.0, 0.1, 200)


def one_sided_test(signal, channel):
    return OneSidedTest(BY_NAME[signal], channel, "up", "page", 0.02, 0.02, np.zeros(8), 0.01, 0.01, 1.0, 28.0)


REFUSED = one_sided_test("refused", "rate")


def finding_of(latch=LATCH, *, test=REFUSED, learned=RATE, state="firing", **changes):
    arguments = {
        "updated_at": START_MS + 5000,
        "tally": (200.0, 20.0),
        "now": None,
        "evidence_and_threshold": (30.0, 28.0),
    }
    return replace(latch).build_finding(test, learned, state, **(arguments | changes))


def test_a_rate_has_its_share_and_odds():
    finding = finding_of()
    assert (finding.normal, finding.now, finding.effect_kind) == (0.01, 0.1, "odds_ratio")
    assert finding.effect == pytest.approx(11)
    assert finding.sentence == (
        "refused rose from 1.0 % to 10.0 % (odds x11) since 03:12:00Z, 200 records; page: evidence 30.0 of 28"
    )


def test_a_value_has_its_own_unit():
    latency = one_sided_test("latency_ms", "location")
    finding = finding_of(test=latency, learned=VALUE, tally=(200.0, 150.0), now=812.3456789)
    assert (finding.normal, finding.now, finding.effect) == (400.0, 812.346, 0.25)


def test_the_sentence_names_the_segment_and_what_carries_the_drift():
    latch = replace(LATCH, dimension="prompt", label="v42")
    finding = finding_of(latch, carried_by="in 3 of 5 tenants", tier="ticket")
    assert (finding.segment, finding.tier) == ("prompt=v42", "ticket")
    assert finding.sentence.startswith("refused in prompt=v42 rose from")
    assert "200 records, in 3 of 5 tenants; ticket:" in finding.sentence


def test_the_sentence_states_that_a_test_pages_too_often():
    finding = finding_of(replace(LATCH, demote=True))
    assert finding.demote
    assert finding.sentence.endswith(DEMOTION)


def test_a_drift_whose_segment_is_gone_ends_with_its_normal_value():
    latch = replace(LATCH, dimension="prompt", label="v42")
    finding = finding_of(latch, state="recovered", segment_gone=True, tally=(0.0, 0.0), updated_at=START_MS + 600_000)
    assert finding.now == finding.normal
    assert finding.sentence == "refused in prompt=v42 has ended after 10 min: records of prompt=v42 no longer arrive"


def test_a_drift_ends_when_another_baseline_takes_over():
    finding = replace(LATCH).build_end(REFUSED, RATE, now_ms=START_MS + 9000, recovery=6.0)
    assert (finding.state, finding.evidence, finding.threshold) == ("recovered", 0.0, 6.0)
    assert finding.now == finding.normal
    assert "a new baseline" in finding.sentence


def test_each_finding_counts_and_the_next_covers_newer_records():
    latch = replace(LATCH, since_message=[7.0, 1.0])
    first = latch.build_finding(
        REFUSED,
        RATE,
        "firing",
        updated_at=START_MS,
        tally=(200.0, 20.0),
        now=None,
        evidence_and_threshold=(30.0, 28.0),
    )
    assert (first.sequence, latch.sequence, latch.since_message) == (0, 1, [0.0, 0.0])
    assert first.updated_at == first.detected_at


def test_an_update_is_due_once_per_time_and_only_with_new_records():
    latch = replace(LATCH, since_message=[1.0, 0.0])
    assert not latch.is_update_due(59, (60.0, 300.0))
    assert latch.is_update_due(60, (60.0, 300.0))
    assert not latch.is_update_due(61, (60.0, 300.0))
    latch.since_message = [0.0, 0.0]
    assert not latch.is_update_due(300, (60.0, 300.0))
