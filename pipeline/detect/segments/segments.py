"""Segments: the walks of each version, region and tenant of a subject, by the subject's bands and bets."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings import segment_name
from pipeline.detect.layout import BlockView, Layout, numbers_by_row
from pipeline.detect.one_sided_tests import PAGE_RECORDS, PROBE_SIGNALS, CrossingKey, OneSidedTest
from pipeline.detect.segments.segment_bank import SegmentBank, SegmentCrossing
from pipeline.detect.segments.segment_sums import SegmentSums, group_rows, sum_groups
from pipeline.detect.segments.segment_values import NOT_WATCHED, SegmentValue, SegmentValues, densities
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels, label_indexes

SETTLING_PANES = 3600
"""Panes (seconds): after an hour no value is new any more."""

OFF_SHARE = 0.5
"""Share of a value's records over which it must have been off, for that to be its own normal and not a failure."""

SETTLED_EVIDENCE = 4.0
"""Evidence with which a value has been off all the while: by itself it would hardly have so much."""

CARRYING_EVIDENCE = 4.0
"""Evidence from which on a value is said to carry what the whole subject fired for."""

CARRIED_SHARE = 0.5
"""Share of a threshold that the values which carry it must have together, to be named."""

TENANT_EVIDENCE = 1.0
"""Evidence that a value shares in what happens, if it does: from it on a tenant counts as hit."""

CHANNELS = ("rate", "location")
"""The channels that are watched by segment: what moves a tail or a spread alone is left to the whole subject."""

TENANT, PROVIDER = "tenant", "provider"

Labels = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class SegmentObservation:
    """What a block was to the values that it holds.

    Attributes
    ----------
    values
        The V values that it holds, each with its dimension.
    carried_before
        Shape ``(V, S)``: the records that carried each side's signal, before the block.
    crossings
        The walks that reached their thresholds.
    """

    values: list[tuple[str, SegmentValue]]
    sums: SegmentSums
    carried_before: NDArray[np.float64]
    crossings: list[SegmentCrossing]


class Segments:
    """The page sides of a subject, rates and locations, walked by each value of its segments.

    A dimension is watched while two of its values are live, or one that fired has not recovered. New versions are
    judged at once. Regions, tenants, and versions that were there when judging began, may have a normal of their own
    outside the subject's band: what is off for most of a value's first records is set aside until the next baseline.

    Parameters
    ----------
    settings, layout
        Those of the judge.
    sides
        The judge's sides.

    Attributes
    ----------
    sides
        Those of them that are watched, S.
    signals
        Shape ``(S,)``: the places of their signals in a view's values.
    used
        The columns of a grid that they need.
    carried, channels
        Shape ``(S,)``: of each side where among these it is told whether its signal is carried, and where its channel
        lies.
    bank
        Their walks.
    dimensions
        By name, their values.
    """

    def __init__(self, sides: Sequence[OneSidedTest], layout: Layout, settings: DetectSettings) -> None:
        watched = [index for index, side in enumerate(sides) if side.tier == "page" and side.channel in CHANNELS]
        watched.sort(key=lambda index: sides[index].channel not in channels.BINARY)
        self.sides = [sides[index] for index in watched]
        self.signals = layout.side_signals[watched]
        self._settings = settings
        carried, columns = layout.side_carried[watched], layout.side_channels[watched]
        self.used: NDArray[np.intp] = np.unique(np.concatenate([carried, columns]))
        self.carried, self.channels = self.used.searchsorted(carried), self.used.searchsorted(columns)
        self.bank = SegmentBank(self.sides, self.channels, self.carried, settings.recovery_evidence)
        self.dimensions: dict[str, SegmentValues] = {}
        self._places = {side.crossing_key: place for place, side in enumerate(self.sides)}

    def observe(self, view: BlockView, segments: Labels, versions: Container[str]) -> SegmentObservation | None:
        """Let the records of a block walk; None if no dimension is watched.

        Parameters
        ----------
        segments
            By dimension the ``R`` labels of the block.
        versions
            Those of the dimensions whose labels are versions.
        """
        block = view.block
        values: list[tuple[str, SegmentValue]] = []
        places: list[NDArray[np.int64]] = []
        for dimension, labels in segments.items() if self.sides else ():
            present = self._present(dimension, labels, view, is_version=dimension in versions)
            if present:
                places.append(
                    label_indexes(labels, {value.label: len(values) + own for own, value in enumerate(present)})
                )
                values += [(dimension, value) for value in present]
        parts = group_rows(block.panes, places, len(values)) if values else None
        if parts is None:
            return None
        numbers = numbers_by_row(view.grid, self.used)
        sums = sum_groups(parts, numbers, self.bank.steps.scores(numbers))
        slots = np.array([value.slot for _, value in values], dtype=np.intp)
        before = np.array([value.carried for _, value in values])
        crossings = self.bank.observe(slots, sums, block.times_ms, self._may_fire, densities(places, len(values)))
        counted = zip(values, sums.sums.sum(axis=0)[:, self.carried], parts.counts.tolist(), strict=True)
        for (_, value), carried, records in counted:
            value.carried += carried
            value.count(parts.last_pane, records)
        return SegmentObservation(values, sums, before, crossings)

    def end_settling(self, seen: SegmentObservation) -> None:
        """Let values grow old, and set aside what was off in all their youth without having crossed."""
        if not any(value.settling for _, value in seen.values):
            return
        values = [value for _, value in seen.values]
        young = np.array([seen.sums.parts.last_pane - value.begun < SETTLING_PANES for value in values])
        records_max = self._settings.segment_settle_records
        settling = (np.array([value.carried for value in values]) < records_max) & young[:, None]
        for place, side in np.argwhere((seen.carried_before < records_max) & ~settling).tolist():
            value = values[place]
            if value.settling and not self.bank.latched[value.slot, side] and self._was_always_off(value, side):
                self.bank.exclude(value.slot, side)
        for value, still in zip(values, settling.any(axis=1).tolist(), strict=True):
            value.settling = value.settling and still

    def is_excluded(self, seen: SegmentObservation, crossing: SegmentCrossing) -> bool:
        """Whether a side that crossed has been off for most of the life of a value that may have its own normal."""
        value, before = seen.values[crossing.value][1], seen.carried_before[crossing.value, crossing.side]
        if not value.settling or before >= self._settings.segment_settle_records:
            return False
        return self._was_always_off(value, crossing.side)

    def carrying(self, what: CrossingKey) -> str:
        """In words, in which segments the records lie that moved a side of the whole subject; empty if in none."""
        side, words = self._places.get(what), []
        if side is not None:
            for dimension in self.dimensions:
                shares = [(value.label, self.evidence(value, side)) for value in self.watched(dimension)]
                hit = [label for label, evidence in shares if evidence >= CARRYING_EVIDENCE]
                carried = sum(evidence for _, evidence in shares if evidence >= CARRYING_EVIDENCE)
                rest = sum(evidence for _, evidence in shares) - carried
                # Where many values carry a little each, those that stand out by chance are not where it lies.
                if len(shares) > 1 and carried > max(rest, CARRIED_SHARE * self.sides[side].threshold):
                    words.append(_carriers(dimension, hit, len(shares)))
        return " and ".join(words[:2])

    def tenants(self, what: CrossingKey) -> int:
        """How many tenants show that a side moved."""
        side = self._places.get(what)
        if side is None or TENANT not in self.dimensions:
            return 0
        return sum(1 for value in self.watched(TENANT) if self.evidence(value, side) >= TENANT_EVIDENCE)

    def place(self, what: CrossingKey) -> int | None:
        """The side that watches something, or the location of the same signal the same way; None if there is none."""
        signal, _, direction = what
        return self._places.get(what, self._places.get((signal, "location", direction)))

    def excluded_tests(self) -> list[tuple[str, str, CrossingKey]]:
        """What is set aside: dimension, value, and the side that is off without being a failure."""
        return [
            (dimension, value.label, self.sides[side].crossing_key)
            for dimension in self.dimensions
            for value in self.watched(dimension)
            for side in np.flatnonzero(self.bank.aside[value.slot]).tolist()
        ]

    def traffic_share(self, segment: str, pane: int) -> float:
        """The share of the subject's records of late that a segment has, as drifts name it; 1 of what is not known."""
        for dimension, values in self.dimensions.items():
            for label, value in values.values.items():
                if segment == segment_name(dimension, label):
                    return values.share(value, pane)
        return 1.0

    def dump(self) -> dict[str, Any]:
        """The state: plain values and arrays."""
        return {
            "dimensions": [[dimension, values.dump()] for dimension, values in self.dimensions.items()],
            "bank": self.bank.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other sides.
        """
        self.bank.load(state["bank"])
        self.dimensions = {}
        for dimension, kept in state["dimensions"]:
            self._dimension(dimension).load(kept)

    def _dimension(self, name: str) -> SegmentValues:
        if name not in self.dimensions:
            settings = self._settings
            self.dimensions[name] = SegmentValues(
                settings.segment_values_max, len(self.sides), settings.segment_settle_records
            )
        return self.dimensions[name]

    def _present(
        self, dimension: str, labels: Sequence[str | None], view: BlockView, *, is_version: bool
    ) -> list[SegmentValue]:
        """The values of a block that have walks; none if their dimension is not watched."""
        panes, own = view.block.panes, self._dimension(dimension)
        own.is_version = own.is_version or is_version or dimension == PROVIDER
        present, gone = own.observe(labels, int(panes[0]), int(panes[-1]))
        for value in gone:
            value.slot = NOT_WATCHED
        fired = any(self.bank.latched[value.slot].any() for value in self.watched(dimension))
        if len(own.live(int(panes[-1]))) < 2 and not fired:
            for value in self.watched(dimension):
                self._rest(value)
            for value in present:
                value.carried += view.grid.totals[-1].take(self.used).take(self.carried)
            return []
        for value in present:
            if value.slot == NOT_WATCHED:
                value.slot = self._free_slot()
                self.bank.clear(value.slot)
        return present

    def _rest(self, value: SegmentValue) -> None:
        """Give back the slot of a value that is not watched for now, unless it tells what is set aside."""
        if not self.bank.aside[value.slot].any():
            value.slot = NOT_WATCHED
        elif self.bank.test_statistics[value.slot].any():
            self.bank.stop_slot(value.slot)

    def _free_slot(self) -> int:
        taken = {value.slot for values in self.dimensions.values() for value in values.values.values()}
        return next(slot for slot in range(len(self.bank) + 1) if slot not in taken)

    def watched(self, dimension: str) -> Iterator[SegmentValue]:
        """The values of a dimension that have walks."""
        return (value for value in self.dimensions[dimension].values.values() if value.slot != NOT_WATCHED)

    def _may_fire(self, side: int, records: float) -> bool:
        return records >= PAGE_RECORDS or self.sides[side].signal.name in PROBE_SIGNALS

    def _was_always_off(self, value: SegmentValue, side: int) -> bool:
        off = self.bank.records_with(SETTLED_EVIDENCE, value.slot, side)
        return off >= OFF_SHARE * float(value.carried[side]) and off > 0

    def evidence(self, value: SegmentValue, side: int) -> float:
        """How sure it is that a side moved in a value: its threshold once it has fired."""
        if self.bank.aside[value.slot, side]:
            return 0.0
        if self.bank.latched[value.slot, side]:
            return self.sides[side].threshold
        return self.bank.evidence(value.slot, side)


def _carriers(dimension: str, hit: Sequence[str], known: int) -> str:
    if len(hit) == 1:
        return f"all in {dimension}={hit[0]}"
    return f"in every {dimension}" if len(hit) == known else f"in {len(hit)} of {known} {dimension}s"
