"""Times as gateways, databases and spreadsheets write them, and the corresponding Unix milliseconds."""

import json
from pathlib import Path

import pytest

from schemas.timestamp import (
    EARLIEST_MS,
    LATEST_MS,
    TimeZoneMissingError,
    format_timestamp,
    parse_timestamp,
)

AT = 1_795_489_920_123

FIELD = [json.loads(line) for line in (Path(__file__).parent / "field" / "times.ndjson").read_text().splitlines()]
"""Times from real systems with their meaning, or null if the time must be refused."""


@pytest.mark.parametrize("case", FIELD, ids=lambda case: case["as"])
def test_every_time_of_the_field_is_read_or_refused(case):
    time_zone = "UTC" if "with the setting UTC" in case["as"] else None
    if case["as"] == "year 2200 in seconds, live":
        # A valid time. Admission refuses it, because it is far from the arrival time.
        assert parse_timestamp(case["written"]) == case["written"] * 1000
    elif case["unix_ms"] is None:
        with pytest.raises(ValueError, match="a timestamp"):
            parse_timestamp(case["written"], time_zone=time_zone)
    else:
        assert parse_timestamp(case["written"], time_zone=time_zone) == case["unix_ms"]


@pytest.mark.parametrize(
    "value",
    [
        AT,
        float(AT),
        AT / 1000,
        AT * 1000 + 999,
        AT * 1_000_000 + 999_999,
        float(AT * 1_000_000),
        str(AT),
        f" {AT} ",
        f"{AT}.9",
        "1.795489920123E12",
        "1795489920.123999",
        "2026-11-24T03:12:00.123Z",
        "2026-11-24t03:12:00.123z",
        "2026-11-24 03:12:00.123Z",
        "2026-11-24T03:12:00.123999999Z",
        "2026-11-24T14:12:00.123+11:00",
        "2026-11-24T14:12:00.123+1100",
        "2026-11-24 14:12:00.123+11",
        "2026-11-23T23:12:00.123-04:00",
        "2026-11-24T14:12:00.123+11:00[Australia/Sydney]",
        "2026-11-24 03:12:00.123 +0000 UTC",
        "2026-11-24 14:12:00.123 +1100 AEDT",
        "2026-11-24 03:12:00,123 utc",
        "2026-11-24T03:12:00.123GMT",
    ],
)
def test_a_time_can_be_written_in_many_ways(value):
    assert parse_timestamp(value) == AT
    assert parse_timestamp(value, time_zone="Asia/Tokyo") == AT


def test_a_time_without_an_offset_is_a_time_of_the_given_zone():
    assert parse_timestamp("2026-11-24T14:12:00.123", time_zone="Australia/Sydney") == AT
    with pytest.raises(TimeZoneMissingError, match="offset from UTC"):
        parse_timestamp("2026-11-24T14:12:00.123")


@pytest.mark.parametrize("text", ["2026-10-04 02:30:00", "2027-04-04 02:30:00"])
def test_a_time_that_the_clock_shows_twice_or_never_is_refused(text):
    with pytest.raises(ValueError, match="twice or never"):
        parse_timestamp(text, time_zone="Australia/Sydney")
    assert parse_timestamp(text + "+11:00", time_zone="Australia/Sydney")


@pytest.mark.parametrize(
    ("text", "time_zone"), [("0001-01-01 00:00:00", "Asia/Tokyo"), ("9999-12-31 23:59:59", "America/New_York")]
)
def test_a_time_at_the_limits_of_the_calendar_is_rejected(text, time_zone):
    with pytest.raises(ValueError, match="between 1973 and the year 9999"):
        parse_timestamp(text, time_zone=time_zone)


def test_a_leap_second_counts_as_the_last_millisecond_before_it_ends():
    assert format_timestamp(parse_timestamp("2016-12-31T23:59:60Z")) == "2016-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (True, "boolean"),
        (None, "RFC 3339"),
        ([AT], "RFC 3339"),
        (0, "Unix time"),
        (-1, "Unix time"),
        (12, "Unix time"),
        (10**9 - 1, "Unix time"),
        (LATEST_MS + 1, "Unix time"),
        (10**17, "Unix time"),
        (10**20, "Unix time"),
        (2**70, "Unix time"),
        (10**400, "Unix time"),
        (float("nan"), "Unix time"),
        (float("inf"), "Unix time"),
        ("1" * 101, "offset"),
        (f"{AT}{' ' * 100}x", "offset"),
        ("1e99", "Unix time"),
        ("-1795489920", "offset"),
        ("1_795_489_920", "offset"),
        ("٣795489920", "offset"),
        ("", "offset"),
        ("yesterday", "offset"),
        ("2026-11-24T03:12:00", "offset"),
        ("2026-11-24", "offset"),
        ("11/24/2026 03:12:00", "offset"),
        ("2026-11-24 03:12:00 EST", "offset"),
        ("2026-11-24T03:12:00.123 [UTC]", "offset"),
        ("2026-13-24T03:12:00Z", "month"),
        ("2026-02-30T03:12:00Z", "day"),
        ("2026-11-24T25:12:00Z", "hour"),
        ("2026-11-24T03:12:00+99:00", "offset"),
        ("2026-11-24T03:12:00+05:75", "offset"),
        ("1970-01-01T00:00:00Z", "1973"),
        ("٢٠٢٦-11-24T03:12:00Z", "offset"),
    ],
)
def test_an_invalid_time_is_refused_with_the_reason(value, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_timestamp(value)


@pytest.mark.parametrize("value", [EARLIEST_MS, AT, LATEST_MS])
def test_a_formatted_time_is_parsed_back(value):
    assert parse_timestamp(format_timestamp(value)) == value
