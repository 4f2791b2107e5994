"""Minutes put together from messages that each hold half an hour at most."""

import pytest

from pipeline.review.minutes import MINUTE_MS, courses, hit, lines
from schemas.drift import Drift, Series
from tests.pipeline.correlate.builders import MINUTE, START, drift, later

BEGIN = START - START % MINUTE
PER_MINUTE = 3000


def message(state: str, first: int, last: int, **fields: object) -> Drift:
    """A message whose series covers the minutes from first to last, counted from the start; a tenth is off since then."""
    minutes = range(first, last + 1)
    series = Series(
        begins_at=BEGIN + first * MINUTE_MS,
        records=[PER_MINUTE] * len(minutes),
        means=[0.1 if minute >= 0 else 0.01 for minute in minutes],
    )
    fired = drift("refused", start=BEGIN, series=[series], normal=0.01)
    if state == "firing":
        return fired
    return later(fired, last * 60, state, series=[series], **fields)


def test_a_long_drift_is_whole_where_its_messages_overlap() -> None:
    messages = [
        message("firing", -10, 0),
        message("evidence", -10, 10, sequence=1, records=11 * PER_MINUTE),
        message("recovered", 5, 34, sequence=2, records=35 * PER_MINUTE),
    ]
    (whole,) = courses(messages)
    assert whole.begins_at == BEGIN - 10 * MINUTE_MS
    assert set(whole.records) == {PER_MINUTE}
    assert len(whole.records) == 45
    found = hit(messages)
    assert found is not None
    assert found.records == pytest.approx(34 * PER_MINUTE, rel=0.05)
    assert found.had == pytest.approx(0.1 * found.records, rel=0.05)
    (line,) = lines(messages)
    assert len(line.times) == 45


def test_of_hours_between_two_messages_the_number_of_records_is_known() -> None:
    messages = [message("firing", -10, 0), message("recovered", 60, 89, sequence=1, records=90 * PER_MINUTE)]
    found = hit(messages)
    assert found is not None
    assert found.records == 90 * PER_MINUTE
    assert found.had == pytest.approx(0.1 * 90 * PER_MINUTE, rel=0.02)
    (whole,) = courses(messages)
    assert 0 in whole.records


def test_a_minute_that_was_not_over_is_told_by_the_later_message() -> None:
    first, second = message("firing", -2, 0), message("evidence", -2, 1, sequence=1)
    series = first.series[0].model_copy(update={"records": [PER_MINUTE, PER_MINUTE, 20]})
    (whole,) = courses([first.model_copy(update={"series": [series]}), second])
    assert whole.records == (PER_MINUTE,) * 4
