"""Schedule of the checkpoints of one partition. Under load, checkpoints become rarer, within a limit."""

TIME_SHARE = 0.05
"""Share of the time that checkpoints may take. If they take more, the interval becomes longer."""

STATE_BYTES_PER_S = 5_000_000
"""Bytes of state per second that checkpoints may write. If they write more, the interval becomes longer."""

INTERVAL_MAX_S = 10.0
"""Maximum seconds to which the interval is extended. After a crash, the records of this time are read again."""

URGENT_TIME_SHARE = 0.25
"""Share of the time that urgent checkpoints may take. If they take more, the next urgent checkpoint waits."""

URGENT_WAIT_MAX_S = 1.0
"""Maximum seconds from a checkpoint to the next urgent one."""


class CheckpointSchedule:
    """Decides when the next checkpoint is due, from the costs of the last one.

    Parameters
    ----------
    interval_s
        Seconds between checkpoints that cost little.
    now_s
        The current time in seconds, of any clock that never goes back.

    >>> schedule = CheckpointSchedule(2.0, now_s=0.0)
    >>> schedule.record(2.0, 2.25, state_bytes=9_000_000)
    >>> schedule.interval_s(is_urgent=False, partitions=1), schedule.interval_s(is_urgent=True, partitions=1)
    (5.0, 1.0)
    """

    def __init__(self, interval_s: float, *, now_s: float) -> None:
        self._interval_s = interval_s
        self._last_s = now_s
        self._cost_s, self._state_bytes = 0.0, 0

    def is_due(self, now_s: float, *, is_urgent: bool, partitions: int) -> bool:
        """Return whether a checkpoint is due. ``partitions`` is the number of partitions that share the worker."""
        return now_s - self._last_s >= self.interval_s(is_urgent=is_urgent, partitions=partitions)

    def interval_s(self, *, is_urgent: bool, partitions: int) -> float:
        """Return the seconds from the last checkpoint to the next one."""
        if is_urgent:
            return min(self._cost_s / URGENT_TIME_SHARE, URGENT_WAIT_MAX_S, self._interval_s)
        needed_s = max(self._cost_s / TIME_SHARE, self._state_bytes / STATE_BYTES_PER_S) * partitions
        return max(self._interval_s, min(needed_s, INTERVAL_MAX_S))

    def record(self, start_s: float, end_s: float, *, state_bytes: int) -> None:
        """Record the last checkpoint: when it started and ended, and the bytes of its state."""
        self._last_s = end_s
        self._cost_s, self._state_bytes = end_s - start_s, state_bytes
