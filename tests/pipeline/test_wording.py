import pytest
from pydantic import ValidationError

from pipeline.wording import PROBLEMS_MAX, did_you_mean, duration, one_line, percent, quantity
from schemas.drift import Drift
from schemas.record import Record


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.0001, "0.01 %"), (0.0014, "0.14 %"), (0.01, "1.0 %"), (0.456, "45.6 %")],
)
def test_a_percentage_keeps_the_digits_that_matter(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.25, "0.25 s"),
        (5, "5 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (86_399, "23 h 59 min"),
        (-90, "1 min 30 s"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, text):
    assert duration(seconds) == text


def test_long_times_in_milliseconds_are_shown_in_seconds():
    assert [quantity(value, "ms", "high_tail") for value in (9_999.0, 10_000.0)] == ["9,999 ms", "10.0 s"]


def test_a_hint_lists_the_known_names_up_to_a_limit():
    assert did_you_mean("zzz", [f"name_{number:02}" for number in range(13)]).endswith("name_11, ...")


def test_a_validation_error_never_repeats_the_invalid_value():
    with pytest.raises(ValidationError) as caught:
        Record.from_json(b'{"subject": "secret-\\u0000", "timestamp": 5, "output": {"length": -17}}')
    line = one_line(caught.value)
    assert "secret" not in line
    assert "-17" not in line
    assert "output.length: " in line


def test_a_validation_error_names_the_first_problems_and_counts_the_rest():
    with pytest.raises(ValidationError) as caught:
        Drift.from_json(b"{}")
    line = one_line(caught.value)
    assert line.count("; ") == PROBLEMS_MAX - 1
    assert line.endswith(f"(and {caught.value.error_count() - PROBLEMS_MAX} more)")


def test_other_errors_become_one_line():
    assert one_line(ValueError("two\n  lines")) == "two lines"
