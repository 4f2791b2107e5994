"""One loss, such as the unusable values of one field: the records of its current pane, its tests and its findings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.detect.findings import Finding, effect_size
from pipeline.detect.losses.share_test import OpenLoss, ShareTest
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Signal
from pipeline.wording import duration, percent
from schemas.drift import DriftState
from schemas.timestamp import LATEST_MS, clock_time

SHARE_MAX = 0.05
"""Largest share of losses that is not reported.

Up to this share, the remaining records still show failures of the subject. A few bad values and repeated messages are
normal.
"""

BLIND_SHARE = 0.5
"""Share above which a paging signal pages, because most failures of the subject are no longer visible."""

NO_PANE = -1
"""Pane of a loss without records."""


def share_tests(signal: Signal, settings: DetectSettings) -> tuple[OneSidedTest, ...]:
    """Return the tests of a signal: one for a share above 5 % and, if it pages, one for a share above one half."""
    tests = [OneSidedTest.with_fixed_boundary(signal, "ticket", SHARE_MAX, settings)]
    if signal.role == "pages":
        tests.append(OneSidedTest.with_fixed_boundary(signal, "page", BLIND_SHARE, settings))
    return tuple(tests)


class Loss:
    """One loss of a stream or partition.

    The result does not depend on batch boundaries. A loss begins with its first lost record, and can be discarded when
    it is idle.

    Parameters
    ----------
    segment
        Segment of its drifts, such as ``field=output.length``, or empty.
    tests
        The tests of the loss.
    settings
        Recovery threshold, and the times at which evidence is repeated.
    """

    def __init__(self, segment: str, tests: Sequence[OneSidedTest], settings: DetectSettings) -> None:
        self._segment, self._settings = segment, settings
        self._tests = [ShareTest(test, settings.recovery_evidence) for test in tests]
        self._pane = NO_PANE
        self._records = self._lost = 0

    @property
    def is_idle(self) -> bool:
        """Whether no test has fired, no statistic is above 0, and the current pane has no record."""
        return not self._records and all(test.is_idle for test in self._tests)

    def reach(self, pane: int, describe: Callable[[str], str]) -> list[Finding]:
        """Advance to a pane. If it is later than the current pane, test the current pane and return its findings.

        Parameters
        ----------
        pane
            The pane of the next record.
        describe
            Function that describes the loss with its share as text, such as ``31.0 % of records are duplicates``. Text
            after a colon is a detail.
        """
        if pane <= self._pane:
            return []
        findings: list[Finding] = []
        if self._records:
            for test in self._tests:
                state = test.add_pane(self._pane, self._records, self._lost, self._settings.evidence_after_s)
                if state is not None and test.open is not None:
                    findings.append(self._finding(test, test.open, state, describe))
        self._pane, self._records, self._lost = pane, 0, 0
        return findings

    def add(self, records: int, lost: int) -> None:
        """Add records of the current pane, and the number of lost records among them."""
        self._records += records
        self._lost += lost

    def end(self, sentence: str) -> list[Finding]:
        """Return the findings that end the open drifts of this loss for a reason other than recovery."""
        return [
            replace(self._finding(test, test.open, "recovered", str), sentence=sentence)
            for test in self._tests
            if test.open is not None
        ]

    def reset(self) -> None:
        """Reset the evidence after a gap in the records."""
        self._pane, self._records, self._lost = NO_PANE, 0, 0
        for test in self._tests:
            test.reset()

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "pane": self._pane,
            "records": self._records,
            "lost": self._lost,
            "tests": [test.dump() for test in self._tests],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._pane, self._records, self._lost = state["pane"], state["records"], state["lost"]
        for test, content in zip(self._tests, state["tests"], strict=True):
            test.load(content)

    def _finding(self, test: ShareTest, loss: OpenLoss, state: DriftState, describe: Callable[[str], str]) -> Finding:
        records = max(1, loss.since_message[0])
        effect, effect_kind = effect_size("rate", SHARE_MAX, loss.share, records, records)
        at_ms = min((self._pane + 1) * PANE_MS, LATEST_MS)
        finding = Finding(
            signal=test.test.signal,
            channel="rate",
            side="up",
            tier=test.test.tier,
            detector="page_hinkley",
            state=state,
            sequence=loss.sequence,
            started_at=loss.started * PANE_MS,
            detected_at=min((loss.detected + 1) * PANE_MS, LATEST_MS),
            updated_at=at_ms,
            request_id=None,
            normal=0.0,
            now=loss.share,
            effect=effect,
            effect_kind=effect_kind,
            records=loss.records,
            evidence=loss.evidence,
            threshold=self._settings.recovery_evidence if state == "recovered" else test.test.threshold,
            sentence=_describe(test, loss, state, describe(percent(loss.share)), at_ms),
            segment=self._segment,
        )
        loss.sequence += 1
        loss.since_message = [0, 0]
        if state == "recovered":
            test.close()
        return finding


def _describe(test: ShareTest, loss: OpenLoss, state: DriftState, description: str, at_ms: int) -> str:
    what, colon, detail = description.partition(":")
    started_ms = loss.started * PANE_MS
    if state == "recovered":
        return f"now {what}, after {duration((at_ms - started_ms) / 1000)}"
    tier = test.test.tier
    what = f"{what} since {clock_time(started_ms)}, {loss.records:,} records{colon}{detail}; {tier}"
    if state == "evidence":
        return f"still: {what}"
    return f"{what}: evidence {loss.evidence:.1f} of {test.test.threshold:g}"
