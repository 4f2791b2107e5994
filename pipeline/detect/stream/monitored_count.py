"""Count of the signal values of a stream."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MonitoredCount:
    """Number of finite signal values, and number of these values that a monitor tested."""

    seen: int = 0
    monitored: int = 0

    def __add__(self, other: "MonitoredCount") -> "MonitoredCount":
        """Return the sum of two counts."""
        return MonitoredCount(self.seen + other.seen, self.monitored + other.monitored)
