"""The log of a worker: standard error, one line an event, times in UTC, and no flood when Kafka is away."""

import logging
import sys
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

LIBRARIES = ("faust", "mode", "aiokafka")
"""Loggers of which only warnings are shown, and each kind of line once an interval."""

CHATTY = ("topologies.runtime.faust_transport",)
"""Our own whose lines are Faust's: services that tell of every start and stop."""

REPEAT_INTERVAL_S = 30.0
"""Seconds before a line of the same kind is shown again; aiokafka alone writes forty a second while Kafka is away."""

KINDS_MAX = 1_000
"""Kinds of lines that are remembered; beyond, all are forgotten and may be shown once more."""


class Throttle(logging.Filter):
    """Lets a library's line through once an interval, and says how many like it were left out meanwhile.

    Lines are alike when their logger, level and text before the values are put in are the same.

    >>> clock = iter([0.0, 1.0, 31.0])
    >>> throttle = Throttle(lambda: next(clock))
    >>> records = [logging.LogRecord("aiokafka", 40, "", 0, "no node %s", (number,), None) for number in range(3)]
    >>> [throttle.filter(record) for record in records], records[2].getMessage()
    ([True, False, True], 'no node 2 (and 1 more like it)')
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._shown: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        now = self._clock()
        kind = (record.name, record.levelno, str(record.msg))
        at, left_out = self._shown.get(kind, (-REPEAT_INTERVAL_S, 0))
        if now - at < REPEAT_INTERVAL_S:
            self._shown[kind] = (at, left_out + 1)
            return False
        if len(self._shown) >= KINDS_MAX:
            self._shown.clear()
        self._shown[kind] = (now, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", None
        return True


class TriedAgain(logging.Filter):
    """Leaves out what aiokafka says of a write that it tries again: a checkpoint that fails for good is told by the runtime.

    Kafka answers the first writes of a transaction so, as a matter of course, while it still ends the one before.

    >>> words = ("Got error produce response on topic-partition %s, retrying. Error: %s", "Could not send %s because %s")
    >>> records = [logging.LogRecord("aiokafka.producer.sender", 30, "", 0, text, (1, 2), None) for text in words]
    >>> [TriedAgain().filter(record) for record in records]
    [False, True]
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.name == "aiokafka.producer.sender" and ", retrying." in str(record.msg))


class HeardElsewhere(logging.Filter):
    """Leaves out what asyncio says of futures inside aiokafka that nobody asked: what failed is told by who asked for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.name == "asyncio" and isinstance(error, KafkaError))


def set_up_logging() -> None:
    """Log to standard error from now on, replacing what was set up before."""
    stream = logging.StreamHandler(sys.stderr)
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = _utc
    stream.setFormatter(form)
    stream.addFilter(TriedAgain())
    stream.addFilter(Throttle(time.monotonic))
    stream.addFilter(HeardElsewhere())
    logging.basicConfig(level=logging.INFO, handlers=[stream], force=True)
    for name in (*LIBRARIES, *CHATTY):
        logging.getLogger(name).setLevel(logging.WARNING)


def _utc(seconds: float | None) -> time.struct_time:
    return time.gmtime(seconds)
