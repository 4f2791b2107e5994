"""Segment drifts: the latched tests of segment values, and their findings until they recover."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.detectors import Crossing
from pipeline.detect.findings import Finding, Latch, value_at_rank
from pipeline.detect.layout import BlockView
from pipeline.detect.one_sided_tests import CrossingKey, NotTestable, OneSidedTest
from pipeline.detect.segments.segment_values import LIVE_S, SegmentValue
from pipeline.detect.segments.segments import SegmentObservation, Segments
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels
from schemas.baseline import SignalBaseline
from schemas.drift import DriftState, Tier

GONE_PANES = 600
"""Number of panes (seconds) without a record after which the drift of a value ends. A version that was rolled back
sends no records, so its tests could not recover."""

MISSED_PANES, MISSED_RECORDS = 60, 30.0
"""Minimum number of panes without a record, and minimum number of missing records, for a drift to end earlier. Missing
records are counted against the value's rate in about the last hour, which is lower for a new version."""

SUBJECT_SHARE = 0.95
"""Minimum share of a block's records for a version to count as the full subject. Its drift is then not repeated."""


class SegmentKey(NamedTuple):
    """A test of a segment value."""

    dimension: str
    label: str
    test: int


class SegmentDrifts:
    """The latches of segments. Versions page, while regions and tenants only raise tickets.

    A *suppressed* latch publishes nothing, because the same drift is published for the full subject.

    Parameters
    ----------
    segments
        The segment values and their tests.
    baseline, settings
        The baseline and settings of the monitor.
    """

    def __init__(self, segments: Segments, baseline: PackedBaseline, settings: DetectSettings) -> None:
        self._segments, self._baseline, self._settings = segments, baseline, settings
        self._latches: dict[SegmentKey, Latch] = {}
        self._untested: list[tuple[OneSidedTest | NotTestable, Latch]] = []
        self._last_pane = self._resumed_pane = 0

    def find_drifts(
        self, view: BlockView, observation: SegmentObservation | None, latched: set[CrossingKey]
    ) -> list[tuple[int, Finding]]:
        """Return the findings of a block, with the row of each finding.

        Parameters
        ----------
        observation
            The block by segment value.
        latched
            The keys of the subject's latched tests. The same drift is not repeated for a region or tenant, nor for a
            version that serves nearly all records.
        """
        panes = view.block.panes
        self.reach(int(panes[0]), int(panes[-1]))
        findings: list[tuple[int, Finding]] = []
        if observation is not None:
            crossed = {self._key(observation, crossing) for crossing in observation.crossings}
            indexes = observation.indexes
            tallies = self._tallies(observation)
            for key, latch in self._latches.items():
                if key[:2] in indexes and key not in crossed:
                    latch.add(tallies[indexes[key[:2]], key.test])
            for crossing in observation.crossings:
                findings += self._fire_or_recover(view, observation, crossing, latched)
            self._segments.end_settling(observation)
        findings += self._end_gone(view)
        findings += self._evidence_due(view, observation)
        return findings

    def find_open(self) -> dict[tuple[CrossingKey, str], tuple[float, float, float]]:
        """Return the mean at which each test of a value fired, and the records and their sum since its last message.

        They are found by the key of the test and the segment.
        """
        tests = self._segments.tests
        return {
            (tests[key.test].crossing_key, Finding.segment_name(key.dimension, key.label)): (
                latch.worst,
                latch.since_message[0],
                latch.since_message[1],
            )
            for key, latch in self._latches.items()
        }

    @property
    def is_idle(self) -> bool:
        """Whether no test of a value has fired."""
        return not self._latches and not self._untested

    def reach(self, first_pane: int, last_pane: int) -> None:
        """Observe the panes of a block while no test of a value has fired."""
        if first_pane - self._last_pane > GONE_PANES:
            # The full subject was silent, so an absent value is not necessarily gone.
            self._resumed_pane = first_pane
        self._last_pane = last_pane

    def rearm_suppressed(self, key: CrossingKey) -> None:
        """Reset the suppressed tests of a key to their normal bets, because the full subject has recovered."""
        for segment_key, latch in list(self._latches.items()):
            if latch.suppressed and self._segments.tests[segment_key.test].crossing_key == key:
                self._release(segment_key)

    @property
    def open_signals(self) -> Counter[str]:
        """Names of the signals of which a test of a value has fired, with the number of published drifts."""
        tests = [self._segments.tests[key.test] for key, latch in self._latches.items() if not latch.suppressed]
        return Counter(test.signal.name for test in (*tests, *(test for test, _ in self._untested)))

    def close_drifts(self, now_ms: int, closes: Callable[[str, str], bool] | None = None) -> list[Finding]:
        """Close drifts because of a new baseline: all, or those of the signals and segments that ``closes`` selects."""
        latches = {
            key: latch
            for key, latch in self._latches.items()
            if closes is None
            or closes(self._segments.tests[key.test].signal.name, Finding.segment_name(key.dimension, key.label))
        }
        for key in latches:
            self._release(key)
        return [
            latch.build_end(
                self._segments.tests[key.test],
                self._read_learned(key),
                now_ms=now_ms,
                recovery=self._settings.recovery_evidence,
                tier=self._tier(key),
            )
            for key, latch in latches.items()
            if not latch.suppressed
        ]

    def end_untested(self, now_ms: int) -> list[Finding]:
        """End the drifts whose tests no longer run."""
        untested, self._untested = self._untested, []
        return [
            latch.build_end(
                test,
                self._baseline.read().signals[test.signal.name],
                now_ms=now_ms,
                recovery=self._settings.recovery_evidence,
                tier=latch.published_tier,
                reason=Latch.untested_reason(test),
            )
            for test, latch in untested
            if not latch.suppressed
        ]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain values."""
        latches = [latch.dump(self._segments.tests[latch.test_index]) for latch in self._latches.values()]
        latches += [latch.dump(test) for test, latch in self._untested]
        return {"latches": latches, "last_pane": self._last_pane, "resumed_pane": self._resumed_pane}

    def load(
        self,
        state: dict[str, Any],
        tests: Sequence[OneSidedTest],
        find_untested: Callable[[tuple[str, ...]], NotTestable],
    ) -> None:
        """Restore the state that :meth:`dump` returned. The segment values must be restored first.

        Parameters
        ----------
        tests
            All tests that run.
        find_untested
            Returns a test that does not run, from its key.
        """
        tests_by_key: dict[tuple[str, ...], OneSidedTest] = {test.key: test for test in tests}
        self._last_pane, self._resumed_pane = state["last_pane"], state["resumed_pane"]
        self._latches, self._untested = {}, []
        for content in state["latches"]:
            key = tuple(content["test"])
            index = self._segments.find_by_key(key)
            dimension = self._segments.dimensions.get(content["dimension"])
            if index is None or dimension is None:
                self._untested.append((tests_by_key.get(key) or find_untested(key), Latch.load(content, -1)))
                continue
            latch = Latch.load(content, index)
            self._latches[SegmentKey(latch.dimension, latch.label, index)] = latch
            value = dimension.values.get(latch.label)
            if value is not None:
                self._segments.bank.latch(self._segments.monitor_value(value), index, latch.worst)

    def _key(self, observation: SegmentObservation, crossing: Crossing) -> SegmentKey:
        dimension, value = observation.values[crossing.value]
        return SegmentKey(dimension, value.label, crossing.test)

    def _value(self, key: SegmentKey) -> SegmentValue | None:
        return self._segments.dimensions[key.dimension].values.get(key.label)

    def _is_version(self, key: SegmentKey) -> bool:
        return self._segments.dimensions[key.dimension].is_version

    def _tier(self, key: SegmentKey) -> Tier | None:
        """Return the tier of a finding, or None for the tier of the test."""
        return None if self._is_version(key) else "ticket"

    def _read_learned(self, key: SegmentKey) -> SignalBaseline:
        """Return the baseline of a test's signal, with the level that was accepted for the value, if any."""
        test = self._segments.tests[key.test]
        learned = self._baseline.read().signals[test.signal.name]
        value = self._value(key)
        held = None if value is None else self._segments.bank.held.get((value.slot, key.test))
        if held is None:
            return learned
        channel = learned.channels[test.channel].model_copy(update={"mean": held.mean})
        return learned.model_copy(update={"channels": learned.channels | {test.channel: channel}})

    def _release(self, key: SegmentKey) -> Latch:
        value = self._value(key)
        if value is not None:
            self._segments.bank.rearm(value.slot, key.test)
        return self._latches.pop(key)

    def _tallies(self, observation: SegmentObservation) -> NDArray[np.float64]:
        """Return the number of records with the signal, and the sum of the channel over them, by value and test."""
        totals = observation.sums.sums.sum(axis=0)
        columns = (self._segments.presence_columns, self._segments.channel_columns)
        return np.stack([totals[:, column] for column in columns], axis=-1)

    def _tally(self, observation: SegmentObservation, crossing: Crossing, *, after: int = -1) -> NDArray[np.float64]:
        """Return the number of records with a crossing's signal after a pane, and the sum of the channel over them."""
        columns = [
            int(self._segments.presence_columns[crossing.test]),
            int(self._segments.channel_columns[crossing.test]),
        ]
        tally: NDArray[np.float64] = observation.sums.sums[after + 1 :, crossing.value, columns].sum(axis=0)
        return tally

    def _fire_or_recover(
        self, view: BlockView, observation: SegmentObservation, crossing: Crossing, latched: set[CrossingKey]
    ) -> Iterator[tuple[int, Finding]]:
        key, bank = self._key(observation, crossing), self._segments.bank
        value = observation.values[crossing.value][1]
        rows = self._rows(view, observation, crossing.value, crossing.test, pane=crossing.step)
        row = int(rows[-1])
        remainder = self._tally(observation, crossing, after=crossing.step)
        if crossing.is_recovery:
            # The recovery of the subject may have released a suppressed latch in the same block.
            if key not in self._latches:
                return
            latch = self._release(key)
            latch.add(self._tally(observation, crossing) - remainder)
            weighed = (crossing.evidence, self._settings.recovery_evidence)
            if not latch.suppressed:
                yield row, self._finding(key, latch, "recovered", view, rows, tally=crossing.tally, weighed=weighed)
            return
        if self._segments.should_exclude(observation, crossing):
            bank.exclude(value.slot, crossing.test)
            return
        latch = self._latch(view, row, crossing, key)
        is_published = self._segments.tests[crossing.test].crossing_key in latched
        value_records = int(observation.sums.groups.value_records[crossing.value])
        is_subject = value_records >= SUBJECT_SHARE * view.block.panes.size
        latch.suppressed = is_published and (is_subject or not self._is_version(key))
        bank.latch(value.slot, crossing.test, crossing.mean)
        if not latch.suppressed:
            yield row, self._finding(key, latch, "firing", view, rows, tally=crossing.tally)
        latch.add(remainder)

    def _latch(self, view: BlockView, row: int, crossing: Crossing, key: SegmentKey) -> Latch:
        detected_at = int(view.block.times_ms[row])
        latch = Latch(
            test_index=crossing.test,
            detector="page_hinkley",
            started_at=min(crossing.started_at, detected_at),
            detected_at=detected_at,
            pane=int(view.block.panes[row]),
            request_id=view.block.request_ids[row],
            evidence=crossing.evidence,
            worst=crossing.mean,
            records=int(crossing.tally[0]),
            dimension=key.dimension,
            label=key.label,
            published_tier=self._tier(key),
        )
        self._latches[key] = latch
        return latch

    def _rows(
        self, view: BlockView, observation: SegmentObservation, value: int, test: int, *, pane: int
    ) -> NDArray[np.intp]:
        """Return the rows of a value that carry a test's signal up to a pane, or all its rows if none does."""
        panes, rows, starts = observation.sums.groups.value_rows(value)
        # A value may have no record up to the pane, if a renewed baseline allows what was already beyond the threshold.
        until = np.count_nonzero(panes <= pane)
        rows = rows[: int(starts[until])] if 0 < until < panes.size else rows
        carrying = rows[~np.isnan(view.values[rows, self._segments.signal_indexes[test]])]
        return carrying if carrying.size else rows

    def _end_gone(self, view: BlockView) -> Iterator[tuple[int, Finding]]:
        """End the drifts of values that no longer send records."""
        last_row = view.block.panes.size - 1
        last_pane = int(view.block.panes[last_row])
        for key in list(self._latches):
            value = self._value(key)
            if value is not None and not self._is_gone(value, last_pane):
                continue
            latch = self._release(key)
            if not latch.suppressed:
                no_rows, nothing = np.zeros(0, dtype=np.intp), (0.0, 0.0)
                finding = self._finding(key, latch, "recovered", view, no_rows, tally=nothing, weighed=nothing)
                yield last_row, finding

    def _is_gone(self, value: SegmentValue, pane: int) -> bool:
        silent_panes = pane - max(value.last_pane, self._resumed_pane)
        missed = value.recent_records_at(value.last_pane) / LIVE_S * silent_panes
        return silent_panes > GONE_PANES or (silent_panes >= MISSED_PANES and missed >= MISSED_RECORDS)

    def _evidence_due(self, view: BlockView, observation: SegmentObservation | None) -> Iterator[tuple[int, Finding]]:
        """Repeat the evidence of drifts whose update is due, for the values in the block."""
        if observation is None:
            return
        last_row = view.block.panes.size - 1
        last_pane = int(view.block.panes[last_row])
        indexes = observation.indexes
        for key, latch in self._latches.items():
            if latch.suppressed or key[:2] not in indexes:
                continue
            if not latch.is_update_due(last_pane, self._settings.evidence_after_s):
                continue
            rows = self._rows(view, observation, indexes[key[:2]], key.test, pane=observation.sums.groups.shape[0])
            records, total = latch.since_message
            yield last_row, self._finding(key, latch, "evidence", view, rows, tally=(records, total))

    def _finding(
        self,
        key: SegmentKey,
        latch: Latch,
        state: DriftState,
        view: BlockView,
        rows: NDArray[np.intp],
        *,
        tally: tuple[float, float],
        weighed: tuple[float, float] | None = None,
    ) -> Finding:
        test = self._segments.tests[key.test]
        learned = self._read_learned(key)
        now = None
        if test.channel == channels.OVERDUE:
            now = self._segments.longest_age(view, key.test, rows)
        elif test.channel == "location" and tally[0]:
            now = value_at_rank(learned, tally[1] / tally[0])
        else:
            # For a location, the mean rank gives the typical value. For a tail, the last records do.
            values = view.values[rows, self._segments.signal_indexes[key.test]]
            now = float(np.nanmedian(values)) if (values == values).any() else None  # noqa: PLR0124 - NaN differs
        return latch.build_finding(
            test,
            learned,
            state,
            updated_at=int(view.block.times_ms[rows[-1] if rows.size and state != "evidence" else -1]),
            tally=tally,
            now=now,
            evidence_and_threshold=weighed or (latch.evidence, test.threshold),
            tier=self._tier(key),
            segment_gone=state == "recovered" and not rows.size,
        )
