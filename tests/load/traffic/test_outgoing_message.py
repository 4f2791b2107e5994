"""Messages of a replay whose times are shifted."""

import orjson
import pytest

from load.traffic.outgoing_message import OutgoingMessage

FIRST = b'{"subject":"a","timestamp":"2026-11-24T03:12:00Z","output":{"length":3}}'
SECOND = b'{"subject":"b","timestamp":1795489921000}'


def test_a_shift_changes_every_time_and_nothing_else() -> None:
    message = OutgoingMessage(1_795_489_920_000, b"a", b"[%b,%b]" % (FIRST, SECOND))
    shifted = orjson.loads(message.shift(60_000).value)
    assert [record["timestamp"] for record in shifted] == ["2026-11-24T03:13:00.000Z", "2026-11-24T03:13:01.000Z"]
    assert shifted[0]["output"] == {"length": 3}


def test_a_shift_leaves_values_that_are_not_json_bad() -> None:
    bad = FIRST.replace(b'"length":3', b'"length":NaN,"similarity":Infinity,"finish_reason":"\\ud800"')
    shifted = OutgoingMessage(0, b"a", b"[%b,%b]" % (bad, SECOND)).shift(60_000).value
    assert shifted.count(b"NaN") == 3
    assert b"2026-11-24T03:13:00.000Z" in shifted


@pytest.mark.parametrize("written", [b'"2026-11-24 03:12:00"', b"1795489920", b'"1795489920123"', b"1795489920123456"])
def test_any_format_of_times_is_shifted(written: bytes) -> None:
    value = FIRST.replace(b'"2026-11-24T03:12:00Z"', written)
    assert value != FIRST
    assert b"2026-11-24T03:13:00" in OutgoingMessage(0, b"a", value, time_zone="UTC").shift(60_000).value


def test_a_shift_leaves_a_line_that_is_not_a_record_unchanged() -> None:
    message = OutgoingMessage(0, None, b"{", readable=False)
    assert message.shift(60_000) == message
