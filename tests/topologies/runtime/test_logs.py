"""What a worker logs: its own lines always, a library's repeated ones once an interval."""

import logging

from topologies.runtime.logs import KINDS_MAX, REPEAT_INTERVAL_S, Throttle, TriedAgain


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def record(name, text, *values, level=logging.ERROR):
    return logging.LogRecord(name, level, "", 0, text, values, None)


def test_our_own_lines_always_pass():
    throttle = Throttle(Clock())
    assert all(throttle.filter(record("topologies.runtime.runtime", "same")) for _ in range(3))


def test_a_librarys_line_passes_once_an_interval_whatever_its_values():
    clock = Clock()
    throttle = Throttle(clock)
    assert throttle.filter(record("aiokafka.consumer", "no node %s", 1))
    assert not throttle.filter(record("aiokafka.consumer", "no node %s", 2))
    clock.now += REPEAT_INTERVAL_S
    late = record("aiokafka.consumer", "no node %s", 3)
    assert throttle.filter(late)
    assert late.getMessage() == "no node 3 (and 1 more like it)"


def test_another_level_or_text_is_another_kind():
    throttle = Throttle(Clock())
    assert throttle.filter(record("faust", "one"))
    assert throttle.filter(record("faust", "two"))
    assert throttle.filter(record("faust", "one", level=logging.WARNING))


def test_a_library_whose_name_merely_begins_alike_is_not_held_back():
    throttle = Throttle(Clock())
    assert all(throttle.filter(record("modern", "same")) for _ in range(2))


def test_a_write_that_is_tried_again_is_no_news_and_one_that_is_given_up_is():
    again = "Got error produce response on topic-partition %s, retrying. Error: %s"
    name = "aiokafka.producer.sender"
    assert not TriedAgain().filter(record(name, again, "driftwire.drifts", "NotEnoughReplicasError"))
    assert TriedAgain().filter(record(name, "Could not send %r: %r", "request", "error"))
    assert TriedAgain().filter(record("driftwire", again, "driftwire.drifts", "NotEnoughReplicasError"))


def test_the_memory_of_kinds_is_bounded():
    throttle = Throttle(Clock())
    for number in range(3 * KINDS_MAX):
        throttle.filter(record("aiokafka", f"line {number}"))
    assert len(throttle._shown) <= KINDS_MAX
