"""Progress of a learner: what it has learned from, and what its baseline still needs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LearningProgress:
    """Progress of a learner towards its baseline. Times are event times in Unix milliseconds.

    Attributes
    ----------
    from_ms, to_ms
        Times of the first and the newest record.
    records
        Number of records.
    required_s, required_records
        Seconds of event time and number of records that the baseline requires.
    signals, ready_signals
        Number of signals that the records contain, and of those that have enough records to be monitored.
    """

    from_ms: int
    to_ms: int
    records: int
    required_s: float
    required_records: int
    signals: int
    ready_signals: int

    @property
    def share(self) -> float:
        """Share (0 to 1) of the requirement that is furthest from being met.

        >>> LearningProgress(0, 1_800_000, 4000, 3600.0, 5000, signals=3, ready_signals=1).share
        0.5
        """
        time_share = (self.to_ms - self.from_ms) / 1000 / self.required_s
        return min(1.0, time_share, self.records / self.required_records)

    @property
    def ready_at_ms(self) -> int | None:
        """Event time at which the baseline is ready if records keep their rate. None without a rate.

        >>> LearningProgress(0, 1_000_000, 1000, 3600.0, 5000, signals=1, ready_signals=0).ready_at_ms
        5000000
        """
        time_ready = self.from_ms + round(self.required_s * 1000)
        missing = self.required_records - self.records
        if missing <= 0:
            return time_ready
        span_ms = self.to_ms - self.from_ms
        if span_ms <= 0 or self.records <= 0:
            return None
        return max(time_ready, self.to_ms + round(missing * span_ms / self.records))
