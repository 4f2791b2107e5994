"""The order sentinel of a partition: it finds messages that the step gets twice or never, and commits that go back.

It compares only what arrives and what is committed, and shares no offsets with the code that it watches.
"""

from collections.abc import Callable, Mapping

from topologies.metrics import OrderViolation

Report = Callable[[OrderViolation, str], None]


class OrderSentinel:
    """Sentinel of the input topics of one partition.

    Parameters
    ----------
    report
        Function that receives each violation, with a sentence for the log.

    >>> sentinel = OrderSentinel(lambda kind, text: print(f"{kind}: {text}"))
    >>> sentinel.start({"records": 9})
    >>> sentinel.check_start("records", 12)
    offset_gap: records: reading continues at offset 12, but the messages from offset 10 have not been used
    >>> sentinel.use("records", 12, 14, 3)
    >>> sentinel.use("records", 14, 15, 2)
    repeated_offset: records: the messages at offsets 14 to 15 follow offset 14, so some of them are used twice
    >>> sentinel.commit({"records": 15})
    >>> sentinel.commit({"records": 11})
    commit_went_back: records: the commit of offset 11 follows a commit of offset 15
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._used: dict[str, int] = {}
        """Last offset that the step has used, by topic."""
        self._committed: dict[str, int] = {}
        """Last offset that was committed, by topic."""

    def start(self, offsets: Mapping[str, int]) -> None:
        """Start after the last used offsets of a restored state, by topic."""
        self._used = dict(offsets)
        self._committed = dict(offsets)

    def forget(self, topic: str) -> None:
        """Accept any next offset of a topic, because it was created again or reading starts at the beginning of its log."""
        self._used.pop(topic, None)
        self._committed.pop(topic, None)

    def check_start(self, topic: str, offset: int) -> None:
        """Check that nothing is between the last used message and the offset from which the next messages were read."""
        used = self._used.get(topic)
        if used is not None and offset > used + 1:
            text = f"reading continues at offset {offset}, but the messages from offset {used + 1} have not been used"
            self._report("offset_gap", f"{topic}: {text}")

    def use(self, topic: str, first: int, last: int, count: int) -> None:
        """Check the offsets of messages that the step is about to use: the first, the last, and their number."""
        used = self._used.get(topic, -1)
        if first <= used or last - first + 1 < count:
            text = f"the messages at offsets {first} to {last} follow offset {used}, so some of them are used twice"
            self._report("repeated_offset", f"{topic}: {text}")
        self._used[topic] = last

    def commit(self, offsets: Mapping[str, int]) -> None:
        """Check the last used offsets, by topic, that a transaction has committed."""
        for topic, offset in offsets.items():
            before = self._committed.get(topic, -1)
            if offset < before:
                text = f"the commit of offset {offset} follows a commit of offset {before}"
                self._report("commit_went_back", f"{topic}: {text}")
            self._committed[topic] = offset
