import random

import pytest

from pipeline.detect.admission.times import VECTORISED_MIN, read_times
from pipeline.lenient_json import NOT_FINITE
from schemas.timestamp import format_timestamp, parse_timestamp
from tests.pipeline.detect.streams import START_MS


def one_by_one(values, time_zone=None):
    times_ms, problems = [], {}
    for index, value in enumerate(values):
        try:
            times_ms.append(parse_timestamp(value, time_zone=time_zone))
        except ValueError:
            times_ms.append(0)
            problems[index] = (
                "timestamp_missing" if value is None else "not_json" if value is NOT_FINITE else "timestamp_invalid"
            )
    return times_ms, problems


def read_together(values, time_zone=None):
    times_ms, problems = read_times(values, time_zone)
    return times_ms.tolist(), {index: reason for index, (reason, _) in problems.items()}


FORMS = [
    "2026-11-24T03:12:{:02d}Z",
    "2026-11-24T03:12:{:02d}.5Z",
    "2026-11-24T03:12:{:02d}.12Z",
    "2026-11-24T03:12:{:02d}.123Z",
    "2026-11-24T03:12:{:02d}.123456Z",
    "2026-11-24T03:12:{:02d}.123456789+00:00",
    "2026-11-24T03:12:{:02d}.999-08:00",
    "2026-11-24T23:59:{:02d}.001+14:00",
    "1973-03-03T09:46:{:02d}Z",
    "9999-12-31T23:59:{:02d}.999Z",
    "9999-12-31T23:59:{:02d}.999-01:00",
    "2026-11-24 03:12:{:02d}Z",
    "2026-11-24t03:12:{:02d}z",
    "2026-11-24T03:12:{:02d}",
    "2026-02-30T03:12:{:02d}Z",
    "2026-11-24T24:12:{:02d}Z",
    "2026-11-24T03:60:{:02d}Z",
    "2026-11-24T03:12:{:02d}.Z",
    "2026-11-24 03:12:{:02d},123 UTC",
    "2026-11-24 03:12:{:02d}.123+0000",
    "2026-11-24 03:12:{:02d}+11",
    "2026-11-24 03:12:{:02d} EST",
    "2026-11-24 03:12:{:02d}.1234567890Z",
    "17954899{:02d}",
    "17954899{:02d}.123456",
    "17954899{:02d}123456789",
    "2026-10-04 02:{:02d}:00",
    "2026-10-04 01:59:{:02d}",
    "2027-04-04 02:{:02d}:00.5",
    "2026-11-24T03:12:{:02d}.12٣Z",
    "\uff12026-11-24T03:12:{:02d}Z",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, VECTORISED_MIN - 1, VECTORISED_MIN, 60, 61])
def test_times_of_one_format_are_read_as_one_by_one(form, count):
    values = [form.format(second) for second in range(count)]
    for time_zone in (None, "UTC", "Australia/Sydney"):
        assert read_together(values, time_zone) == one_by_one(values, time_zone)


@pytest.mark.parametrize("date", ["2026-10-04", "2027-04-04", "2026-11-24"])
def test_a_clock_change_within_a_batch_does_not_shift_any_time(date):
    values = [f"{date} {hour:02d}:{minute:02d}:00" for hour in range(24) for minute in (0, 29, 59)]
    assert read_together(values, "Australia/Sydney") == one_by_one(values, "Australia/Sydney")


@pytest.mark.parametrize("scale", [1e-3, 1, 10**3, 10**6])
@pytest.mark.parametrize("kind", [int, float, str])
def test_numbers_of_one_unit_are_read_as_one_by_one(scale, kind):
    rng = random.Random(8)
    for _ in range(20):
        values = [kind((START_MS + rng.randrange(10**7)) * scale + rng.random() * scale) for _ in range(40)]
        read, problems = read_together(values)
        assert (read, problems) == one_by_one(values)
        assert problems == {}
        assert all(abs(time_ms - START_MS) < 2 * 10**7 for time_ms in read)


@pytest.mark.parametrize("bound", [10**9, 10**11, 10**14, 10**15, 10**17, 10**18, 2**63, 10**20])
def test_numbers_at_the_bounds_of_a_unit_are_read_as_one_by_one(bound):
    for kind in (int, float):
        for numbers in ([bound] * 20, [bound - 1] * 20, [bound, bound - 1] * 10, [-bound] * 20):
            values = [kind(number) for number in numbers]
            assert read_together(values) == one_by_one(values)


def test_mixed_formats_are_read_as_one_by_one():
    rng = random.Random(5)
    odd = [
        None,
        True,
        5,
        -1,
        1.5,
        START_MS + 0.0,
        2.0**70,
        START_MS // 1000,
        START_MS / 1000,
        START_MS * 10**6,
        str(START_MS),
        NOT_FINITE,
        float("nan"),
        [],
        {},
        "",
        "now",
        10**11,
        10**11 - 1,
        2**64 - 1,
    ]
    for _ in range(200):
        pool = [form.format(rng.randrange(61)) for form in rng.sample(FORMS, 3)] + [START_MS, rng.choice(odd)]
        values = [rng.choice(pool) for _ in range(rng.randrange(80))]
        assert read_together(values) == one_by_one(values)


def test_a_time_with_one_changed_character_is_read_as_one_by_one():
    rng = random.Random(6)
    good = [format_timestamp(START_MS + 20 * number) for number in range(40)]
    for position in range(len(good[0])):
        for character in "09:-.TZ /+x":
            values = list(good)
            index = rng.randrange(len(good))
            values[index] = good[index][:position] + character + good[index][position + 1 :]
            assert read_together(values) == one_by_one(values), values[index]


def test_dates_may_differ_in_a_batch():
    values = [format_timestamp(START_MS + number * 3_600_000) for number in range(100)]
    assert read_together(values) == ([START_MS + number * 3_600_000 for number in range(100)], {})


def test_each_number_of_a_batch_has_its_own_unit():
    values = [START_MS] * 20 + [START_MS // 1000, START_MS * 1000, START_MS * 10**6] * 10
    assert read_together(values) == ([START_MS] * 50, {})


def test_the_detail_says_what_to_send():
    _, problems = read_times(["yesterday", None, "2026-11-24T03:12:00.123"])
    assert "RFC 3339" in problems[0][1]
    assert problems[2][0] == "timestamp_invalid"
    assert "set detect.time_zone" in problems[2][1]
    assert problems[1] == ("timestamp_missing", "the record has no timestamp")
