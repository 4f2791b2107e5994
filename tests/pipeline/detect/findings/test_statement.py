from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.statement import baseline_median, build_finding, segment_name, value_at_rank
from pipeline.detect.one_sided_tests.one_sided_test import OneSidedTest
from schemas.baseline import Channel, SignalBaseline
from schemas.record import SUBJECT_LENGTH_MAX
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
LATCH = Latch(0, "page_hinkley", START_MS, START_MS + 5000, 0, "r-1", 30.0, 200)


def side(signal, channel):
    return OneSidedTest(BY_NAME[signal], channel, "up", "page", 0.02, np.zeros(8), 0.01, 0.01, 1.0, 28.0)


REFUSED = side("refused", "rate")


def said(latch=LATCH, *, own=REFUSED, learned=RATE, **changes):
    fields = {"updated_at": START_MS + 5000, "tally": (200.0, 20.0), "now": None, "weighed": (30.0, 28.0)}
    return build_finding(own, learned, replace(latch), changes.pop("state", "firing"), **{**fields, **changes})


def test_a_rate_is_told_by_its_share_and_odds():
    finding = said()
    assert (finding.normal, finding.now, finding.effect_kind) == (0.01, 0.1, "odds_ratio")
    assert finding.effect == pytest.approx(11)
    assert finding.sentence == (
        "refused rose from 1.0 % to 10.0 % (odds x11) since 03:12:00Z, 200 records; page: evidence 30.0 of 28"
    )


def test_a_value_is_told_in_its_own_unit():
    finding = said(own=side("latency_ms", "location"), learned=VALUE, tally=(200.0, 150.0), now=812.3456789)
    assert (finding.normal, finding.now, finding.effect) == (400.0, 812.346, 0.25)


def test_a_segment_is_named_and_where_the_records_lie_is_told():
    finding = said(replace(LATCH, dimension="prompt", label="v42"), where="in 3 of 5 tenants", tier="ticket")
    assert (finding.segment, finding.tier) == ("prompt=v42", "ticket")
    assert finding.sentence.startswith("refused in prompt=v42 rose from")
    assert "200 records, in 3 of 5 tenants; ticket:" in finding.sentence


def test_what_pages_too_often_says_so():
    finding = said(replace(LATCH, demote=True))
    assert finding.demote
    assert finding.sentence.endswith("; pages often: proposed for a ticket and a new baseline")


def test_what_is_over_because_its_segment_is_gone_says_so():
    latch = replace(LATCH, dimension="prompt", label="v42")
    finding = said(latch, state="recovered", is_gone=True, tally=(0.0, 0.0), updated_at=START_MS + 600_000)
    assert finding.now == finding.normal
    assert finding.sentence == "refused in prompt=v42 is over: no records of prompt=v42 come any more, after 10 min"


def test_each_statement_counts_and_the_next_speaks_of_newer_records():
    latch = replace(LATCH, recent=[7.0, 1.0])
    first = build_finding(
        side("refused", "rate"),
        RATE,
        latch,
        "firing",
        updated_at=START_MS,
        tally=(200.0, 20.0),
        now=None,
        weighed=(30.0, 28.0),
    )
    assert (first.sequence, latch.sequence, latch.recent) == (0, 1, [0.0, 0.0])
    assert first.updated_at == first.detected_at


def test_a_value_is_found_by_its_rank_and_a_rate_has_none():
    assert [value_at_rank(VALUE, rank) for rank in (0.0, 0.5, 0.625, 1.0)] == [100.0, 400.0, 600.0, 1600.0]
    assert baseline_median(VALUE) == 400.0
    assert value_at_rank(RATE, 0.5) is None
    assert baseline_median(RATE) is None


def test_a_name_fits_a_label_however_long_the_value():
    assert len(segment_name("tenant", "x" * SUBJECT_LENGTH_MAX)) == SUBJECT_LENGTH_MAX
