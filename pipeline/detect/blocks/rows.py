"""The rows: records of one unit that wait to be a block, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake import WIDTH, Label, joined_labels
from pipeline.detect.signals import catalogue


# Not frozen, for the reason for which fields are not.
@dataclass(slots=True)
class Rows:
    """``R`` records.

    Attributes
    ----------
    values
        Shape ``(R, WIDTH)``, in the catalogue's order, NaN where a record does not carry the signal.
    custom
        Shape ``(R, N)``: of the unit's own signals the first ``N``.
    times_ms, panes
        Shape ``(R,)``, int64: event times, and the panes of the watermark.
    first
        Shape ``(R,)``, bool: False for a late outcome.
    request_ids, labels
        As of :class:`pipeline.detect.intake.fields.Fields`.
    """

    values: NDArray[np.float64]
    custom: NDArray[np.float64]
    times_ms: NDArray[np.int64]
    panes: NDArray[np.int64]
    first: NDArray[np.bool_]
    request_ids: Sequence[Label]
    labels: dict[str, Sequence[Label]]

    def __len__(self) -> int:
        return len(self.request_ids)

    def copy(self, start: int, stop: int) -> "Rows":
        """The records from ``start`` up to ``stop``, so that the others need not be kept for them."""
        part = slice(start, stop)
        return Rows(
            values=self.values[part].copy(),
            custom=self.custom[part].copy(),
            times_ms=self.times_ms[part].copy(),
            panes=self.panes[part].copy(),
            first=self.first[part].copy(),
            request_ids=self.request_ids[part],
            labels={name: column[part] for name, column in self.labels.items()},
        )

    def dump(self) -> dict[str, Any]:
        """What :func:`loaded` needs; columns that hold nothing are left out."""
        signals = np.flatnonzero(~np.isnan(self.values).all(axis=0))
        custom = np.flatnonzero(~np.isnan(self.custom).all(axis=0))
        return {
            "signals": [catalogue.SIGNALS[place].name for place in signals.tolist()],
            "values": self.values[:, signals],
            "custom_signals": custom.tolist(),
            "custom": self.custom[:, custom],
            "times_ms": self.times_ms,
            "panes": self.panes,
            "first": self.first,
            "request_ids": list(self.request_ids),
            "labels": {
                name: list(column)
                for name, column in sorted(self.labels.items())
                if any(label is not None for label in column)
            },
        }


def loaded(state: dict[str, Any]) -> Rows:
    """The rows of a state; ``KeyError`` if it names a signal that the catalogue has not."""
    length = len(state["request_ids"])
    values = np.full((length, WIDTH), np.nan)
    values[:, [catalogue.SIGNAL_INDEX[name] for name in state["signals"]]] = state["values"]
    custom = np.full((length, max(state["custom_signals"], default=-1) + 1), np.nan)
    custom[:, state["custom_signals"]] = state["custom"]
    return Rows(
        values=values,
        custom=custom,
        times_ms=state["times_ms"],
        panes=state["panes"],
        first=state["first"],
        request_ids=state["request_ids"],
        labels=state["labels"],
    )


def joined_rows(parts: Sequence[Rows]) -> Rows:
    """One after the other; at least one."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        values=np.concatenate([part.values for part in parts]),
        custom=_joined_custom([part.custom for part in parts]),
        times_ms=np.concatenate([part.times_ms for part in parts]),
        panes=np.concatenate([part.panes for part in parts]),
        first=np.concatenate([part.first for part in parts]),
        request_ids=tuple(chain.from_iterable(part.request_ids for part in parts)),
        labels=joined_labels([part.labels for part in parts], [len(part) for part in parts]),
    )


def _joined_custom(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    width = max(part.shape[1] for part in parts)
    whole = np.full((sum(len(part) for part in parts), width), np.nan)
    if width:
        start = 0
        for part in parts:
            whole[start : start + len(part), : part.shape[1]] = part
            start += len(part)
    return whole
