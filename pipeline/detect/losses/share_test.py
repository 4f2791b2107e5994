"""Test of one share against a fixed limit, pane by pane, and its state from firing to recovery."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.one_sided_tests import BETS, OneSidedTest, rate_evidence
from pipeline.detect.settings import count_updates_due
from pipeline.detect.signals import PANE_MS
from schemas.drift import DriftState

CAP_SHARE = 0.1
"""Share of a threshold that one pane may add. A test therefore fires after ten panes at the earliest.

It is lower than in the other banks, because a restarted producer may send a batch twice within seconds.
"""


@dataclass(slots=True)
class OpenLoss:
    """A test that fired and has not recovered. Times are panes.

    Attributes
    ----------
    started, detected
        Estimated first pane of the loss, and the pane after which the test fired.
    worst
        The share when the test fired. The recovery is tested from this share.
    evidence
        Value of the test statistic when the test fired, or when it recovered.
    records
        Number of records since ``started``.
    sequence
        Number of published messages.
    updates_due
        Number of updates that have become due.
    since_message
        Numbers of records and losses since the last message.
    """

    started: int
    detected: int
    worst: float
    evidence: float
    records: int
    sequence: int = 0
    updates_due: int = 0
    since_message: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def share(self) -> float:
        """Share of losses among the records since the last message."""
        return self.since_message[1] / max(1, self.since_message[0])

    def dump(self) -> list[Any]:
        """Return the fields in order."""
        return [
            self.started,
            self.detected,
            self.worst,
            self.evidence,
            self.records,
            self.sequence,
            self.updates_due,
            list(self.since_message),
        ]


class ShareTest:
    """Test of whether a share of records is above the null boundary of a one-sided test.

    The test statistics are those of :class:`pipeline.detect.detectors.PageHinkleyBank`, evaluated at the end of each
    pane that has records. A pane ends when a record of a later pane arrives.

    Parameters
    ----------
    test
        The one-sided test.
    recovery
        Recovery threshold.

    Attributes
    ----------
    open
        The state since the test fired, or None.
    """

    def __init__(self, test: OneSidedTest, recovery: float) -> None:
        self.test, self._recovery = test, recovery
        self.open: OpenLoss | None = None
        self._statistics = np.zeros(BETS)
        self._started = np.zeros(BETS, dtype=np.int64)
        self._tallies = np.zeros((2, BETS))
        self._update_bets()

    @property
    def is_idle(self) -> bool:
        """Whether the test has not fired and no statistic is above 0."""
        return self.open is None and not self._statistics.any()

    def add_pane(self, pane: int, records: int, losses: int, after_s: Sequence[float]) -> DriftState | None:
        """Add the records of one pane. Return the state to publish, or None.

        Parameters
        ----------
        after_s
            Seconds after the firing at which the evidence is repeated.
        """
        threshold = self.test.threshold if self.open is None else self._recovery
        evidence = records * self._record_evidence + losses * self._loss_evidence
        before = self._statistics
        self._statistics = np.maximum(before + np.minimum(evidence, threshold * CAP_SHARE), 0.0)
        self._started[before == 0.0] = pane
        self._tallies += [[records], [losses]]
        self._tallies[:, self._statistics == 0.0] = 0.0
        bet = int(np.argmax(self._statistics))
        strongest = float(self._statistics[bet])
        if self.open is None:
            return self._fire(pane, bet, strongest) if strongest >= threshold else None
        loss = self.open
        loss.records += records
        loss.since_message = [loss.since_message[0] + records, loss.since_message[1] + losses]
        total, lost = self._tallies[:, bet].tolist()
        if strongest >= threshold and lost <= self.test.null_boundary * total:
            loss.evidence, loss.since_message = strongest, [int(total), int(lost)]
            return "recovered"
        due = count_updates_due((pane - loss.detected) * PANE_MS, after_s)
        if due <= loss.updates_due:
            return None
        loss.updates_due = due
        return "evidence"

    def close(self) -> None:
        """Return to testing the limit after a recovery."""
        self.open = None
        self.reset()
        self._update_bets()

    def reset(self) -> None:
        """Set the statistics to 0 after a gap in the records. A test that has fired stays open."""
        self._statistics = np.zeros(BETS)
        self._tallies = np.zeros((2, BETS))

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "statistics": self._statistics.copy(),
            "started": self._started.copy(),
            "tallies": self._tallies.copy(),
            "open": None if self.open is None else self.open.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._statistics = np.array(state["statistics"], dtype=np.float64)
        self._started = np.array(state["started"], dtype=np.int64)
        self._tallies = np.array(state["tallies"], dtype=np.float64)
        self.open = None if state["open"] is None else OpenLoss(*state["open"])
        self._update_bets()

    def _fire(self, pane: int, bet: int, evidence: float) -> DriftState:
        records, losses = (int(total) for total in self._tallies[:, bet])
        self.open = OpenLoss(
            started=int(self._started[bet]),
            detected=pane,
            worst=losses / max(1, records),
            evidence=evidence,
            records=records,
            since_message=[records, losses],
        )
        self.reset()
        self._update_bets()
        return "firing"

    def _update_bets(self) -> None:
        null: float = self.test.null_boundary
        stakes: NDArray[np.float64] = self.test.stakes
        if self.open is not None:
            null, stakes = self.test.recovery_test(self.open.worst)
        self._record_evidence, self._loss_evidence = rate_evidence(stakes, np.array(null), np.array(self.test.weight))
