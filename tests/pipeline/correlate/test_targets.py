import pytest

from pipeline.correlate.targets import DAY_MS, HOUR_MS, MINUTE_MS, next_business_day, response_targets
from schemas.timestamp import format_timestamp, parse_timestamp

AT = parse_timestamp("2026-11-24T03:12:00Z")  # a Tuesday


def due(severity, resolved_at=None):
    return {target.name: target.due_at - AT for target in response_targets(severity, AT, resolved_at)}


@pytest.mark.parametrize("severity", ["P1", "P2", "P3", "P4"])
def test_every_incident_is_classified_within_15_minutes(severity):
    assert due(severity)["classify"] == 15 * MINUTE_MS


def test_p1_is_contained_at_once_and_told_of_within_30_minutes():
    assert due("P1")["contain"] == 0
    assert due("P1")["first_communication"] == 30 * MINUTE_MS


def test_p2_is_rolled_back_within_2_hours_and_told_of_within_one():
    assert due("P2")["contain"] == 2 * HOUR_MS
    assert due("P2")["first_communication"] == HOUR_MS


def test_p3_is_fixed_in_a_business_day_and_p4_in_a_sprint():
    assert due("P3") == {"classify": 15 * MINUTE_MS, "fix": DAY_MS}
    assert due("P4") == {"classify": 15 * MINUTE_MS, "fix": 14 * DAY_MS}


@pytest.mark.parametrize("severity", ["P1", "P2"])
def test_the_review_is_due_72_hours_after_detection_and_later_after_resolution(severity):
    assert due(severity)["review"] == 72 * HOUR_MS
    assert due(severity, AT + HOUR_MS)["review"] == 73 * HOUR_MS


def test_the_most_urgent_comes_first():
    order = [target.due_at for target in response_targets("P1", AT, None)]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-24T03:12:00.000Z", "2026-11-25T03:12:00.000Z"),
        ("2026-11-27T15:00:00.123Z", "2026-11-30T15:00:00.123Z"),
        ("2026-11-28T15:00:00.000Z", "2026-12-01T00:00:00.000Z"),
        ("2026-11-29T23:59:59.000Z", "2026-12-01T00:00:00.000Z"),
        ("2026-11-30T00:00:00.000Z", "2026-12-01T00:00:00.000Z"),
    ],
)
def test_a_business_day_leaves_weekends_out(at, until):
    assert format_timestamp(next_business_day(parse_timestamp(at))) == until
