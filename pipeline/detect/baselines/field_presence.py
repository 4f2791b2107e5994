"""Presence of fields: which fields nearly all requests carried while a baseline was learned.

A field that is sparse by nature, or that some clients do not send, is not expected. Late outcomes and failed requests
do not count, because they have no output.
"""

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

_HOUR_MS = 3_600_000
_HOURS = 24


class FieldPresence:
    """Number of requests, and of requests with a usable value of each field, by UTC hour.

    The result depends only on the records, not on how they are divided into blocks.
    """

    def __init__(self) -> None:
        self._requests = np.zeros(_HOURS, dtype=np.int64)
        self._present: dict[str, NDArray[np.int64]] = {}

    def observe(self, block: Block) -> None:
        """Add a block of records."""
        is_counted = _find_successful_requests(block)
        hours = block.panes * PANE_MS // _HOUR_MS % _HOURS
        bounds = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), hours.size]
        for begin, end in pairwise(bounds):
            if begin == end:
                continue
            hour, rows = int(hours[begin]), np.flatnonzero(is_counted[begin:end]) + begin
            self._requests[hour] += rows.size
            counts = np.count_nonzero(~np.isnan(block.values[rows]), axis=0).tolist()
            for signal, count in zip(block.signals, counts, strict=True):
                if signal.section != catalogue.DERIVED:
                    self._add(f"{signal.section}.{signal.field}", hour, count)
            for name, labels in block.categories.items():
                count = sum(labels[row] is not None for row in rows.tolist())
                self._add(catalogue.CATEGORY_PATHS[name], hour, count)

    def expected_fields(self) -> list[str]:
        """Return the fields that at least 99 % of the requests of each hour carried, in alphabetical order."""
        if self._requests.sum() < REQUESTS_MIN:
            return []
        absent_max = ABSENT_SHARE_MAX * np.maximum(self._requests, REQUESTS_MIN)
        return sorted(name for name, present in self._present.items() if (self._requests - present <= absent_max).all())

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "requests": self._requests.copy(),
            "present": {name: present.copy() for name, present in sorted(self._present.items())},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._requests = np.array(state["requests"], dtype=np.int64)
        self._present = {name: np.array(present, dtype=np.int64) for name, present in state["present"].items()}

    def _add(self, name: str, hour: int, count: int) -> None:
        self._present.setdefault(name, np.zeros(_HOURS, dtype=np.int64))[hour] += count


def _find_successful_requests(block: Block) -> NDArray[np.bool_]:
    is_successful = block.first.copy()
    for index, signal in enumerate(block.signals):
        if signal.name == "error":
            is_successful &= block.values[:, index] != 1.0
    error_types = block.categories.get("error_type")
    if error_types is not None:
        is_successful &= np.array([label is None for label in error_types], dtype=np.bool_)
    return is_successful
