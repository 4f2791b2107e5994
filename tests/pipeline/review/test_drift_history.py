import pytest

from pipeline.review.drift_history import DriftHistory
from schemas.drift import MINUTE_MS, Drift, Series
from tests.pipeline.correlate.builders import MINUTE, START, drift, later
from tests.pipeline.review.worlds import drifts, series

BEGIN = START - START % MINUTE
PER_MINUTE = 3000


def history(*messages: Drift) -> DriftHistory:
    return DriftHistory(messages)


def refusals(*, by_minute: bool = True) -> DriftHistory:
    return history(*(message for message in drifts(by_minute=by_minute) if message.signal == "refused"))


def message(state: str, first: int, last: int, **fields: object) -> Drift:
    """A message with a series from minute ``first`` to ``last`` after the start. A tenth is off from the start on."""
    minutes = range(first, last + 1)
    shares = Series(
        begins_at=BEGIN + first * MINUTE_MS,
        records=[PER_MINUTE] * len(minutes),
        means=[0.1 if minute >= 0 else 0.01 for minute in minutes],
    )
    fired = drift("refused", start=BEGIN, series=[shares], normal=0.01)
    if state == "firing":
        return fired
    return later(fired, last * 60, state, series=[shares], **fields)


def test_overlapping_messages_of_a_long_drift_make_one_series() -> None:
    long = history(
        message("firing", -10, 0),
        message("evidence", -10, 10, sequence=1, records=11 * PER_MINUTE),
        message("recovered", 5, 34, sequence=2, records=35 * PER_MINUTE),
    )
    (full,) = long.series
    assert full.begins_at == BEGIN - 10 * MINUTE_MS
    assert set(full.records) == {PER_MINUTE}
    assert len(full.records) == 45
    counted = long.affected_records()
    assert counted is not None
    assert counted.records == pytest.approx(34 * PER_MINUTE, rel=0.05)
    assert counted.affected == pytest.approx(0.1 * counted.records, rel=0.05)
    (line,) = long.lines
    assert len(line.times) == 45


def test_the_records_between_two_distant_messages_are_counted() -> None:
    distant = history(message("firing", -10, 0), message("recovered", 60, 89, sequence=1, records=90 * PER_MINUTE))
    counted = distant.affected_records()
    assert counted is not None
    assert counted.records == 90 * PER_MINUTE
    assert counted.affected == pytest.approx(0.1 * 90 * PER_MINUTE, rel=0.02)
    (full,) = distant.series
    assert 0 in full.records


def test_the_later_message_replaces_an_incomplete_minute() -> None:
    first, second = message("firing", -2, 0), message("evidence", -2, 1, sequence=1)
    shares = first.series[0].model_copy(update={"records": [PER_MINUTE, PER_MINUTE, 20]})
    (full,) = history(first.model_copy(update={"series": [shares]}), second).series
    assert full.records == (PER_MINUTE,) * 4


def test_there_is_a_line_for_all_records_and_one_per_version():
    lines = history(drifts()[0]).lines
    assert [(line.version, line.is_by_minute) for line in lines] == [
        ("", True),
        ("prompt=v41", True),
        ("prompt=v42", True),
    ]
    assert lines[0].times[0] == START - 10 * MINUTE + MINUTE // 2
    assert lines[2].values[12] == 0.9
    assert lines[2].values[0] != lines[2].values[0], "a minute without records has no value"


def test_without_values_in_the_unit_the_line_shows_the_messages():
    ranks = [shares.model_copy(update={"values": []}) for shares in series()]
    first = drift("latency_ms", series=ranks)
    [line] = history(first, later(first, 60)).lines
    assert not line.is_by_minute
    assert line.values == (800.0, first.now, 800.0)


def test_a_history_without_messages_is_empty():
    empty = history()
    assert empty.lines == []
    assert empty.worst is None
    assert empty.recovered_at is None
    assert empty.affected_records() is None


def test_affected_records_are_counted_by_minute_until_the_recovery():
    counted = refusals().affected_records()
    full = series()[0]
    assert counted is not None
    assert counted.records == sum(full.records[10:21])
    assert counted.affected == pytest.approx(
        sum(records * mean for records, mean in list(zip(full.records, full.means, strict=False))[10:21])
    )
    assert counted.expected == pytest.approx(0.01 * counted.records)


def test_without_a_series_the_last_message_before_the_recovery_counts():
    reported = refusals(by_minute=False)
    counted = reported.affected_records()
    assert counted is not None
    assert (counted.records, counted.affected) == (420, 42.0)
    assert reported.worst is not None
    assert reported.worst.now == 0.1


def test_the_affected_records_of_a_value_are_unknown():
    assert history(drift("latency_ms")).affected_records() is None
