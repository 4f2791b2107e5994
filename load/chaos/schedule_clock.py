"""The clock of a schedule. It determines when faults start and when messages are sent.

In a run of the chaos suite, it stops during an outage of the broker. Otherwise, the other faults would find nothing to
disturb.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK_S = 0.1

OVERLAP_S = 6.0
"""Seconds of an outage before the clock stops. Faults that start in this time overlap with the outage."""


class ScheduleClock:
    """Seconds since the start of the schedule, optionally excluding outages.

    Parameters
    ----------
    stops_in_outages
        Whether the clock stops during an outage.
    """

    def __init__(self, *, stops_in_outages: bool) -> None:
        self.stops_in_outages = stops_in_outages
        self.now_s = 0.0
        self._outage_since_s: float | None = None

    async def run(self) -> None:
        """Advance the clock until cancelled."""
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if not self._is_stopped(now_s):
                self.now_s += now_s - last_s
            last_s = now_s

    async def wait_until(self, at_s: float) -> None:
        """Wait until the clock shows ``at_s``."""
        while self.now_s < at_s:  # noqa: ASYNC110  the clock may stop
            await asyncio.sleep(TICK_S)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Mark an outage for the duration of the block. Outages must not overlap."""
        self._outage_since_s = time.monotonic()
        try:
            yield
        finally:
            self._outage_since_s = None

    def _is_stopped(self, now_s: float) -> bool:
        since_s = self._outage_since_s
        return self.stops_in_outages and since_s is not None and now_s - since_s > OVERLAP_S
