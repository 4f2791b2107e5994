import pytest

from schemas.timestamp import EARLIEST_MS, LATEST_MS, format_timestamp, parse_timestamp

AT = 1_795_489_920_123


@pytest.mark.parametrize(
    "value",
    [
        AT,
        float(AT),
        "2026-11-24T03:12:00.123Z",
        "2026-11-24t03:12:00.123z",
        "2026-11-24 03:12:00.123Z",
        "2026-11-24T03:12:00.123999999Z",
        "2026-11-24T14:12:00.123+11:00",
        "2026-11-23T23:12:00.123-04:00",
    ],
)
def test_a_time_can_be_written_in_many_ways(value):
    assert parse_timestamp(value) == AT


def test_a_leap_second_counts_as_the_last_millisecond_before_it_ends():
    assert format_timestamp(parse_timestamp("2016-12-31T23:59:60Z")) == "2016-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (True, "boolean"),
        (None, "RFC 3339"),
        ([AT], "RFC 3339"),
        (AT / 1000, "RFC 3339"),
        (AT // 1000, "seconds"),
        (0, "seconds"),
        (-1, "year 9999"),
        (LATEST_MS + 1, "year 9999"),
        (2**70, "year 9999"),
        ("", "offset"),
        ("yesterday", "offset"),
        ("2026-11-24T03:12:00", "offset"),
        ("2026-11-24", "offset"),
        (str(AT), "offset"),
        ("2026-13-24T03:12:00Z", "month"),
        ("2026-02-30T03:12:00Z", "day"),
        ("2026-11-24T25:12:00Z", "hour"),
        ("2026-11-24T03:12:00+99:00", "offset"),
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
