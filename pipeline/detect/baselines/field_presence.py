"""Presence of fields: which fields nearly all requests carried while a baseline was learned.

A field that is sparse by nature, or that some clients do not send, is not expected. Late outcomes and failed requests
do not count, because they have no output. Reactions of users and evaluations are never expected: a file can contain them
beside their request, but live requests lack them until they are sent as late outcomes.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import PANE_MS, Block, catalogue

ABSENT_SHARE_MAX = 0.01
"""Largest share of the requests of any hour of the day (UTC) that may lack a field that is expected."""

REQUESTS_MIN = 100
"""Minimum number of requests from which fields can be expected. In an hour with fewer requests, one may lack a
field."""

CLUSTER_SHARE = 0.05
"""Largest share of the requests of any minute that may lack an expected field. A short job may send few requests of an
hour, but most requests of its minute."""

CLUSTER_REQUESTS = 10
"""Number of requests that may lack an expected field in a minute with fewer than 200 requests."""

LATE_FIELDS = frozenset(
    f"output.{name}" for name in ("thumbs_down", "corrected", "clicked", "converted", "hallucinated")
)
"""Fields that are often known only after the request."""

_MINUTE_MS = 60_000
_HOUR_MINUTES = 60
_HOURS = 24


class FieldPresence:
    """Number of requests, and of requests with a usable value of each field, by UTC hour and in the current minute.

    The result depends only on the records, not on how they are divided into blocks.
    """

    def __init__(self) -> None:
        self._requests = np.zeros(_HOURS, dtype=np.int64)
        self._present: dict[str, NDArray[np.int64]] = {}
        self._minute, self._minute_requests = 0, 0
        self._minute_present: Counter[str] = Counter()
        self._clustered: set[str] = set()

    def observe(self, block: Block) -> None:
        """Add a block of records."""
        is_counted = _find_successful_requests(block)
        minutes = block.panes * PANE_MS // _MINUTE_MS
        bounds = [0, *(np.flatnonzero(np.diff(minutes)) + 1).tolist(), minutes.size]
        for begin, end in pairwise(bounds):
            if begin == end:
                continue
            self._reach(int(minutes[begin]))
            rows = np.flatnonzero(is_counted[begin:end]) + begin
            self._requests[self._hour] += rows.size
            self._minute_requests += rows.size
            counts = np.count_nonzero(~np.isnan(block.values[rows]), axis=0).tolist()
            for signal, count in zip(block.signals, counts, strict=True):
                if signal.section != catalogue.DERIVED:
                    self._add(f"{signal.section}.{signal.field}", count)
            for name, labels in block.categories.items():
                count = sum(labels[row] is not None for row in rows.tolist())
                self._add(catalogue.CATEGORY_PATHS[name], count)

    def expected_fields(self) -> list[str]:
        """Return the fields that at least 99 % of the requests of each hour carried, in alphabetical order.

        A field that many requests of one minute lacked is not expected.
        """
        if self._requests.sum() < REQUESTS_MIN:
            return []
        absent_max = ABSENT_SHARE_MAX * np.maximum(self._requests, REQUESTS_MIN)
        clustered = self._clustered | self._find_clustered()
        return sorted(
            name
            for name, present in self._present.items()
            if name not in clustered | LATE_FIELDS and (self._requests - present <= absent_max).all()
        )

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "requests": self._requests.copy(),
            "present": {name: present.copy() for name, present in sorted(self._present.items())},
            "minute": [self._minute, self._minute_requests, sorted(self._minute_present.items())],
            "clustered": sorted(self._clustered),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._requests = np.array(state["requests"], dtype=np.int64)
        self._present = {name: np.array(present, dtype=np.int64) for name, present in state["present"].items()}

        self._minute, self._minute_requests, minute_present = state["minute"]
        self._minute_present = Counter(dict(minute_present))
        self._clustered = set(state["clustered"])

    @property
    def _hour(self) -> int:
        return self._minute // _HOUR_MINUTES % _HOURS

    def _reach(self, minute: int) -> None:
        if minute != self._minute:
            self._clustered |= self._find_clustered()
            self._minute, self._minute_requests = minute, 0
            self._minute_present.clear()

    def _find_clustered(self) -> set[str]:
        """Return the known fields that too many requests of the current minute lack."""
        present_min = self._minute_requests - max(CLUSTER_SHARE * self._minute_requests, CLUSTER_REQUESTS)
        return {name for name in self._present if self._minute_present[name] < present_min}

    def _add(self, name: str, count: int) -> None:
        self._present.setdefault(name, np.zeros(_HOURS, dtype=np.int64))[self._hour] += count
        self._minute_present[name] += count


def _find_successful_requests(block: Block) -> NDArray[np.bool_]:
    is_successful = block.first.copy()
    for index, signal in enumerate(block.signals):
        if signal.name == "error":
            is_successful &= block.values[:, index] != 1.0
    error_types = block.categories.get("error_type")
    if error_types is not None:
        is_successful &= np.array([label is None for label in error_types], dtype=np.bool_)
    return is_successful
