import random

import pytest

from pipeline.detect.intake.times import VECTORISED_MIN, read_times
from schemas.timestamp import format_timestamp, parse_timestamp
from tests.pipeline.detect.streams import START_MS


def one_by_one(values):
    times_ms, problems = [], {}
    for index, value in enumerate(values):
        try:
            times_ms.append(parse_timestamp(value))
        except ValueError:
            times_ms.append(0)
            problems[index] = "timestamp_missing" if value is None else "timestamp_invalid"
    return times_ms, problems


def read_together(values):
    times_ms, problems = read_times(values)
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
    "2026-11-24T03:12:{:02d}.12٣Z",
    "\uff12026-11-24T03:12:{:02d}Z",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, VECTORISED_MIN - 1, VECTORISED_MIN, 60, 61])
def test_times_of_one_format_are_read_as_one_by_one(form, count):
    values = [form.format(second) for second in range(count)]
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


def test_integers_are_milliseconds_and_seconds_are_rejected():
    assert read_together([START_MS] * 20) == ([START_MS] * 20, {})
    assert read_together([START_MS] * 20 + [START_MS // 1000])[1] == {20: "timestamp_invalid"}


def test_the_detail_says_what_to_send():
    _, problems = read_times(["yesterday", None])
    assert "RFC 3339" in problems[0][1]
    assert problems[1] == ("timestamp_missing", "the record has no timestamp")
