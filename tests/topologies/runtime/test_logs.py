"""The log of a worker: its own lines always, repeated lines of a library once per interval."""

import logging
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from tests.hostile_names import HOSTILE, is_plain
from topologies.logs import LINE_KINDS_MAX, REPEAT_INTERVAL_S, RepeatFilter, configure_logging


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


def test_the_number_of_remembered_kinds_is_limited():
    repeat_filter = RepeatFilter(Clock())
    for number in range(3 * LINE_KINDS_MAX):
        repeat_filter.filter(log_record("aiokafka", f"line {number}"))
    assert len(repeat_filter._shown) <= LINE_KINDS_MAX


@contextmanager
def worker_log():
    """Log as a worker does."""
    loggers = [logging.getLogger(), logging.getLogger("aiokafka")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    configure_logging()
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)


def log_exception(name, error):
    try:
        raise error
    except type(error):
        logging.getLogger(name).exception("failed on %s", HOSTILE)


def test_lines_of_the_client_are_hidden_unless_they_are_about_an_unexpected_error(capsys):
    with worker_log():
        logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages from %s: %s", 1, "no node")
        log_exception("aiokafka.producer.sender", KafkaError("refused"))
        assert capsys.readouterr().err == ""
        log_exception("aiokafka.consumer.fetcher", ZeroDivisionError())
    written = capsys.readouterr().err
    assert "ERROR aiokafka.consumer.fetcher: failed on" in written
    assert "ZeroDivisionError" in written


def test_a_name_cannot_forge_a_line_or_control_the_terminal(capsys):
    with worker_log():
        logging.getLogger("driftwire").warning("subject %s is new", HOSTILE)
        log_exception("driftwire", ValueError(HOSTILE))
    written = capsys.readouterr().err
    assert written.count("gpj.exe") == 3
    assert sum(" WARNING " in line or " ERROR " in line for line in written.splitlines()) == 2
    assert is_plain(written)
