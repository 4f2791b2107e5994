"""The log of a worker: its own lines always, repeated lines of a library once per interval."""

import logging

from tests.hostile_names import HOSTILE, is_plain
from topologies.runtime.logs import LINE_KINDS_MAX, REPEAT_INTERVAL_S, RepeatFilter, RetryFilter, configure_logging


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def log_record(name, text, *values, level=logging.ERROR):
    return logging.LogRecord(name, level, "", 0, text, values, None)


def test_own_lines_always_pass():
    repeat_filter = RepeatFilter(Clock())
    assert all(repeat_filter.filter(log_record("topologies.runtime.runtime", "same")) for _ in range(3))


def test_a_line_of_a_library_passes_once_per_interval_whatever_its_values():
    clock = Clock()
    repeat_filter = RepeatFilter(clock)
    assert repeat_filter.filter(log_record("aiokafka.consumer", "no node %s", 1))
    assert not repeat_filter.filter(log_record("aiokafka.consumer", "no node %s", 2))
    clock.now += REPEAT_INTERVAL_S
    late = log_record("aiokafka.consumer", "no node %s", 3)
    assert repeat_filter.filter(late)
    assert late.getMessage() == "no node 3 (and 1 more like it)"


def test_another_level_or_text_is_another_kind():
    repeat_filter = RepeatFilter(Clock())
    assert repeat_filter.filter(log_record("faust", "one"))
    assert repeat_filter.filter(log_record("faust", "two"))
    assert repeat_filter.filter(log_record("faust", "one", level=logging.WARNING))


def test_a_library_whose_name_only_begins_like_a_known_one_is_not_filtered():
    repeat_filter = RepeatFilter(Clock())
    assert all(repeat_filter.filter(log_record("modern", "same")) for _ in range(2))


def test_a_retried_write_is_dropped_and_a_failed_write_is_shown():
    retry = "Got error produce response on topic-partition %s, retrying. Error: %s"
    name = "aiokafka.producer.sender"
    assert not RetryFilter().filter(log_record(name, retry, "driftwire.drifts", "NotEnoughReplicasError"))
    assert RetryFilter().filter(log_record(name, "Could not send %r: %r", "request", "error"))
    assert RetryFilter().filter(log_record("driftwire", retry, "driftwire.drifts", "NotEnoughReplicasError"))


def test_the_number_of_remembered_kinds_is_limited():
    repeat_filter = RepeatFilter(Clock())
    for number in range(3 * LINE_KINDS_MAX):
        repeat_filter.filter(log_record("aiokafka", f"line {number}"))
    assert len(repeat_filter._shown) <= LINE_KINDS_MAX


def raise_error(text):
    raise ValueError(text)


def test_a_name_cannot_forge_a_line_or_control_the_terminal(capsys):
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    try:
        configure_logging()
        logging.getLogger("driftwire").warning("subject %s is new", HOSTILE)
        try:
            raise_error(HOSTILE)
        except ValueError:
            logging.getLogger("driftwire").exception("failed on %s", HOSTILE)
    finally:
        root.handlers[:] = handlers
    written = capsys.readouterr().err
    assert written.count("gpj.exe") == 3
    assert sum(" WARNING " in line or " ERROR " in line for line in written.splitlines()) == 2
    assert is_plain(written)
