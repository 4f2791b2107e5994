"""Log of a worker on standard error: one line per event, times in UTC, few lines while Kafka is unavailable."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError

from pipeline.plain_text import plain_text
from topologies.quiet_client import hide_client_lines

LIBRARY_LOGGERS = ("faust", "mode", "aiokafka")
"""Loggers whose warnings and errors are shown. Repeated lines appear once per interval."""

VERBOSE_LOGGERS = ("topologies.runtime.faust_transport",)
"""Loggers of driftwire's modules in which Faust logs every start and stop. Only warnings and errors are shown."""

REPEAT_INTERVAL_S = 30.0
"""Minimum seconds between lines of the same kind."""

LINE_KINDS_MAX = 1_000
"""Maximum number of stored kinds of lines. Beyond this limit, all stored kinds are deleted, and their lines may be
shown again."""


class RepeatFilter(logging.Filter):
    """Filter that shows a library's lines of the same kind once per interval, with the number of dropped lines.

    Lines of one kind have the same logger, level and format string.

    >>> clock = iter([0.0, 1.0, 31.0])
    >>> repeat_filter = RepeatFilter(lambda: next(clock))
    >>> records = [logging.LogRecord("aiokafka", 40, "", 0, "no node %s", (number,), None) for number in range(3)]
    >>> [repeat_filter.filter(record) for record in records], records[2].getMessage()
    ([True, False, True], 'no node 2 (and 1 more like it)')
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._shown: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARY_LOGGERS:
            return True
        now = self._clock()
        line_kind = (record.name, record.levelno, str(record.msg))
        shown_at, dropped = self._shown.get(line_kind, (-REPEAT_INTERVAL_S, 0))
        if now - shown_at < REPEAT_INTERVAL_S:
            self._shown[line_kind] = (shown_at, dropped + 1)
            return False
        if len(self._shown) >= LINE_KINDS_MAX:
            self._shown.clear()
        self._shown[line_kind] = (now, 0)
        if dropped:
            record.msg, record.args = f"{record.getMessage()} (and {dropped} more like it)", None
        return True


class UnretrievedErrorFilter(logging.Filter):
    """Filter that drops asyncio's lines about unretrieved errors of aiokafka. The caller logs these errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.name == "asyncio" and isinstance(error, KafkaError))


class PlainFormatter(logging.Formatter):
    """Log formatter with times in UTC that puts a message on one line.

    Characters that control a terminal are replaced. Only a traceback has several lines. They are
    indented, so they cannot be mistaken for log lines.

    >>> record = logging.LogRecord("driftwire", 40, "", 0, "subject %s", ("a" + chr(10) + "b" + chr(27),), None)
    >>> PlainFormatter("%(message)s").format(record)
    'subject a b\ufffd'
    """

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        record.message = plain_text(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {plain_text(line)}" for line in super().formatException(ei).split("\n"))


def configure_logging() -> None:
    """Log to standard error, replace any earlier configuration, and hide aiokafka's lines."""
    hide_client_lines()
    handler = logging.StreamHandler(sys.stderr)
    formatter = PlainFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(formatter)
    handler.addFilter(RepeatFilter(time.monotonic))
    handler.addFilter(UnretrievedErrorFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in (*LIBRARY_LOGGERS, *VERBOSE_LOGGERS):
        logging.getLogger(name).setLevel(logging.WARNING)
