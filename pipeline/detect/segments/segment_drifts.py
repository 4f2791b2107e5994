"""Segment drifts: which sides of which segment values have fired, and what is said of them until they recover."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings import Finding, Latch, build_end, build_finding, value_at_rank
from pipeline.detect.layout import BlockView
from pipeline.detect.one_sided_tests import CrossingKey
from pipeline.detect.segments.segment_bank import SegmentCrossing
from pipeline.detect.segments.segment_values import LIVE_S, SegmentValue
from pipeline.detect.segments.segments import SegmentObservation, Segments
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.drift import DriftState

GONE_PANES = 600
"""Panes (seconds) without a record after which a value that had fired is over: a version that was rolled back sends
none by which it could recover."""

MISSED_PANES, MISSED_RECORDS = 60, 30.0
"""It is over sooner if none of so many records came that it would have sent at its pace of about the last hour, which a
young version has sent in less."""

WHOLE_SHARE = 0.95
"""Share of a block's records from which on a version is the whole subject, of which the same need not be said again."""

Key = tuple[str, str, int]
"""A dimension, a value of it, and the place of a side."""


class SegmentDrifts:
    """The latches of segments. A version pages; a region or tenant only tickets, for one that is odd is no incident.

    Parameters
    ----------
    segments
        Their walks.
    baseline, settings
        Those of the judge.
    """

    def __init__(self, segments: Segments, baseline: Baseline, settings: DetectSettings) -> None:
        self._segments, self._baseline, self._settings = segments, baseline, settings
        self._latches: dict[Key, Latch] = {}
        self._until = self._resumed = 0

    def findings(
        self, view: BlockView, seen: SegmentObservation | None, latched: set[CrossingKey]
    ) -> list[tuple[int, Finding]]:
        """What there is to say after a block, each with the row that gave rise to it.

        Parameters
        ----------
        seen
            What the block was to the segments.
        latched
            What has fired for the whole subject: the same is not said again of a region or tenant, nor of a version that
            serves nearly all of it.
        """
        panes = view.block.panes
        if int(panes[0]) - self._until > GONE_PANES:
            # Nobody sent anything: no value is gone that had no chance to come back.
            self._resumed = int(panes[0])
        self._until = int(panes[-1])
        found: list[tuple[int, Finding]] = []
        if seen is not None:
            crossed = {self._key(seen, crossing) for crossing in seen.crossings}
            places = {(dimension, value.label): place for place, (dimension, value) in enumerate(seen.values)}
            tallies = self._tallies(seen)
            for key, latch in self._latches.items():
                if key[:2] in places and key not in crossed:
                    latch.add(tallies[places[key[:2]], latch.side])
            for crossing in seen.crossings:
                found += self._crossed(view, seen, crossing, latched)
            self._segments.end_settling(seen)
        found += self._gone(view)
        found += self._evidence_due(view, seen)
        return found

    def rearm(self, what: CrossingKey) -> None:
        """Watch again for what was not said of regions and tenants, since the whole subject has recovered from it."""
        for key, latch in list(self._latches.items()):
            if latch.quiet and self._segments.sides[latch.side].crossing_key == what:
                self._release(key)

    def close(self, now_ms: int) -> list[Finding]:
        """What is to be said of all that was said to be off, when another baseline judges from now on."""
        told = [latch for latch in self._latches.values() if not latch.quiet]
        self._latches = {}
        found = []
        for latch in told:
            side = self._segments.sides[latch.side]
            is_version = self._is_version((latch.dimension, latch.label, latch.side))
            found.append(
                build_end(
                    side,
                    self._baseline.signals[side.signal.name],
                    latch,
                    now_ms=now_ms,
                    recovery=self._settings.recovery_evidence,
                    tier=None if is_version else "ticket",
                )
            )
        return found

    def dump(self) -> dict[str, Any]:
        """The state, as plain values."""
        latches = [latch.dump() for latch in self._latches.values()]
        return {"latches": latches, "until": self._until, "resumed": self._resumed}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._until, self._resumed = state["until"], state["resumed"]
        latches = [Latch(**kept) for kept in state["latches"]]
        self._latches = {(latch.dimension, latch.label, latch.side): latch for latch in latches}

    def _key(self, seen: SegmentObservation, crossing: SegmentCrossing) -> Key:
        dimension, value = seen.values[crossing.value]
        return dimension, value.label, crossing.side

    def _value(self, key: Key) -> SegmentValue | None:
        return self._segments.dimensions[key[0]].values.get(key[1])

    def _release(self, key: Key) -> Latch:
        value = self._value(key)
        if value is not None:
            self._segments.bank.rearm(value.slot, key[2])
        return self._latches.pop(key)

    def _tallies(self, seen: SegmentObservation) -> NDArray[np.float64]:
        """Of the block, by value and side: the records that carry the signal, and the sum of the channel."""
        totals = seen.sums.sums.sum(axis=0)
        return np.stack([totals[:, self._segments.carried], totals[:, self._segments.channels]], axis=-1)

    def _tally(self, seen: SegmentObservation, value: int, side: int, *, after: int = -1) -> NDArray[np.float64]:
        """Of the panes of a block after one: the records that carry a side's signal, and the sum of its channel."""
        own = [int(self._segments.carried[side]), int(self._segments.channels[side])]
        tally: NDArray[np.float64] = seen.sums.sums[after + 1 :, value, own].sum(axis=0)
        return tally

    def _crossed(
        self, view: BlockView, seen: SegmentObservation, crossing: SegmentCrossing, latched: set[CrossingKey]
    ) -> Iterator[tuple[int, Finding]]:
        """A side of a value that fired, or recovered."""
        key, bank = self._key(seen, crossing), self._segments.bank
        value = seen.values[crossing.value][1]
        rows = self._rows(view, seen, crossing.value, crossing.side, pane=crossing.pane)
        row = int(rows[-1])
        rest = self._tally(seen, crossing.value, crossing.side, after=crossing.pane)
        if crossing.is_back:
            # Of what was not said, the subject's own recovery may have been the end already, in this very block.
            if key not in self._latches:
                return
            latch = self._release(key)
            latch.add(self._tally(seen, crossing.value, crossing.side) - rest)
            weighed = (crossing.evidence, self._settings.recovery_evidence)
            if not latch.quiet:
                yield row, self._say(latch, "recovered", view, rows, tally=crossing.tally, weighed=weighed)
            return
        if self._segments.is_excluded(seen, crossing):
            bank.exclude(value.slot, crossing.side)
            return
        latch = self._latch(view, row, crossing, key)
        said = self._segments.sides[crossing.side].crossing_key in latched
        whole = int(seen.sums.parts.counts[crossing.value]) >= WHOLE_SHARE * view.block.panes.size
        latch.quiet = said and (whole or not self._is_version(key))
        bank.latch(value.slot, crossing.side, crossing.tally[1] / max(crossing.tally[0], 1.0))
        if not latch.quiet:
            yield row, self._say(latch, "firing", view, rows, tally=crossing.tally)
        latch.add(rest)

    def _is_version(self, key: Key) -> bool:
        return self._segments.dimensions[key[0]].is_version

    def _latch(self, view: BlockView, row: int, crossing: SegmentCrossing, key: Key) -> Latch:
        detected_at = int(view.block.times_ms[row])
        latch = Latch(
            side=crossing.side,
            detector="page_hinkley",
            started_at=min(crossing.started_at, detected_at),
            detected_at=detected_at,
            pane=int(view.block.panes[row]),
            request_id=view.block.request_ids[row],
            evidence=crossing.evidence,
            records=int(crossing.tally[0]),
            dimension=key[0],
            label=key[1],
        )
        self._latches[key] = latch
        return latch

    def _rows(self, view: BlockView, seen: SegmentObservation, value: int, side: int, *, pane: int) -> NDArray[np.intp]:
        """The rows of a value that carry a side's signal, up to a pane; all of the value's if none does."""
        panes, rows, starts = seen.sums.parts.of_value(value)
        ends = np.append(starts[1:], rows.size)
        rows = rows[: int(ends[np.flatnonzero(panes <= pane)[-1]])]
        carrying = rows[~np.isnan(view.values[rows, self._segments.signals[side]])]
        return carrying if carrying.size else rows

    def _gone(self, view: BlockView) -> Iterator[tuple[int, Finding]]:
        """What had fired, of values that send no records any more."""
        last = view.block.panes.size - 1
        last_pane = int(view.block.panes[last])
        for key in list(self._latches):
            value = self._value(key)
            if value is not None and not self._has_gone(value, last_pane):
                continue
            latch = self._release(key)
            if not latch.quiet:
                nothing = np.zeros(0, dtype=np.intp)
                yield last, self._say(latch, "recovered", view, nothing, tally=(0.0, 0.0), weighed=(0.0, 0.0))

    def _has_gone(self, value: SegmentValue, pane: int) -> bool:
        silent = pane - max(value.last, self._resumed)
        missed = value.recent_at(value.last) / LIVE_S * silent
        return silent > GONE_PANES or (silent >= MISSED_PANES and missed >= MISSED_RECORDS)

    def _evidence_due(self, view: BlockView, seen: SegmentObservation | None) -> Iterator[tuple[int, Finding]]:
        """Evidence again of what fired some time ago, from values that the block holds."""
        if seen is None:
            return
        last = view.block.panes.size - 1
        last_pane = int(view.block.panes[last])
        places = {(dimension, value.label): place for place, (dimension, value) in enumerate(seen.values)}
        for key, latch in self._latches.items():
            if latch.quiet or key[:2] not in places:
                continue
            if not latch.next_due(last_pane, self._settings.evidence_after_s):
                continue
            rows = self._rows(view, seen, places[key[:2]], latch.side, pane=seen.sums.parts.shape[0])
            count, total = latch.recent
            yield last, self._say(latch, "evidence", view, rows, tally=(count, total))

    def _say(
        self,
        latch: Latch,
        state: DriftState,
        view: BlockView,
        rows: NDArray[np.intp],
        *,
        tally: tuple[float, float],
        weighed: tuple[float, float] | None = None,
    ) -> Finding:
        side = self._segments.sides[latch.side]
        learned = self._baseline.signals[side.signal.name]
        now = None
        if side.channel == "location" and tally[0]:
            now = value_at_rank(learned, tally[1] / tally[0])
        else:
            # A rank says where a location lies; of a tail only the last records tell what is typical.
            last = view.values[rows, self._segments.signals[latch.side]]
            now = float(np.nanmedian(last)) if (last == last).any() else None  # noqa: PLR0124 - NaN is not itself
        return build_finding(
            side,
            learned,
            latch,
            state,
            updated_at=int(view.block.times_ms[rows[-1] if rows.size and state != "evidence" else -1]),
            tally=tally,
            now=now,
            weighed=weighed or (latch.evidence, side.threshold),
            tier=None if self._is_version((latch.dimension, latch.label, latch.side)) else "ticket",
            is_gone=state == "recovered" and not rows.size,
        )
