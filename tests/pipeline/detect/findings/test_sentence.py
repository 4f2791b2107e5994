from dataclasses import replace

import pytest

from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.sentence import describe_finding
from tests.pipeline.detect.worlds import BY_NAME, START_MS

REFUSED = Finding(
    signal=BY_NAME["refused"],
    channel="rate",
    side="up",
    tier="page",
    detector="page_hinkley",
    state="firing",
    sequence=0,
    started_at=START_MS,
    detected_at=START_MS + 9000,
    updated_at=START_MS + 9000,
    request_id="r-1",
    normal=0.01,
    now=0.0914,
    effect=9.9,
    effect_kind="odds_ratio",
    records=1412,
    evidence=28.31,
    threshold=28.0,
    sentence="",
)
LATENCY = replace(
    REFUSED,
    signal=BY_NAME["latency_ms"],
    channel="location",
    normal=812.4,
    now=2401.0,
    effect=0.31,
    effect_kind="rank_shift",
)


def test_a_rate_is_described_in_percent_with_its_odds():
    assert describe_finding(REFUSED, 0.01, 0.0914) == (
        "refused rose from 1.0 % to 9.1 % (odds x9.9) since 03:12:00Z, 1,412 records; page: evidence 28.3 of 28"
    )


def test_a_value_is_described_in_its_unit_with_its_shift_of_rank():
    assert describe_finding(LATENCY, 0.5, 0.81).startswith(
        "latency_ms rose from 812 ms to 2,401 ms (rank +0.31) since 03:12:00Z"
    )


def test_a_value_that_falls_is_described_as_falling():
    falling = replace(LATENCY, signal=BY_NAME["confidence"], side="down", normal=0.81, now=0.62, effect=-0.3)
    assert describe_finding(falling, 0.5, 0.2).startswith("confidence fell from 0.81 to 0.62 (rank -0.30)")


def test_a_tail_is_described_by_its_share():
    tail = replace(LATENCY, channel="high_tail", effect=10.0)
    assert "is extreme more often: unusually high in 1.0 % to 9.2 % of records (odds x10)" in describe_finding(
        tail, 0.01, 0.092
    )


def test_values_that_hardly_vary_are_described_as_such():
    alike = replace(LATENCY, signal=BY_NAME["length"], channel="dispersion", side="down")
    assert describe_finding(alike, 0.5, 0.01).startswith("length hardly varies: spread of ranks 0.50 to 0.01")


def test_evidence_and_recovery_differ_from_firing():
    assert "is still outside its baseline: from 1.0 % to 9.1 %" in describe_finding(
        replace(REFUSED, state="evidence"), 0.01, 0.09
    )
    back = replace(REFUSED, state="recovered", now=0.011, updated_at=START_MS + 600_000)
    assert describe_finding(back, 0.01, 0.011) == "refused returned to 1.1 % (normal 1.0 %) after 10 min"


@pytest.mark.parametrize(("seconds", "words"), [(90, "1 min 30 s"), (600, "10 min"), (10_800, "3 h")])
def test_durations_are_readable(seconds, words):
    back = replace(REFUSED, state="recovered", updated_at=START_MS + seconds * 1000)
    assert describe_finding(back, 0.01, 0.011).endswith(f"after {words}")


def test_a_change_that_adwin_detected_names_adwin():
    assert "ADWIN detected a change of the mean" in describe_finding(
        replace(REFUSED, detector="adwin", tier="ticket"), 0.01, 0.09
    )


def test_an_age_that_is_overdue_is_compared_with_the_longest_known_age():
    overdue = replace(
        REFUSED,
        signal=BY_NAME["index_age_s"],
        channel="overdue",
        tier="ticket",
        normal=86_400.0,
        now=90_360.0,
        effect=90_360 / 86_400,
        effect_kind="ratio",
    )
    assert describe_finding(overdue, 0.0, 1.0, "all in region=eu") == (
        "index_age_s is overdue: 25.1 h, longest known 24.0 h, since 03:12:00Z, 1,412 records, all in region=eu; ticket: "
        "evidence 28.3 of 28"
    )
    still = replace(overdue, state="evidence", now=216_000.0)
    assert describe_finding(still, 0.0, 1.0).startswith(
        "index_age_s is still outside its baseline: 60.0 h, longest known 24.0 h, since 03:12:00Z"
    )
    recovered = replace(overdue, state="recovered", now=240.0, updated_at=START_MS + 7_200_000)
    assert describe_finding(recovered, 0.0, 0.0) == "index_age_s returned to 4 min (longest known 24.0 h) after 2 h"
