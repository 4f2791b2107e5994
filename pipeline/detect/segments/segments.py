"""Segments: the page tests of a subject, run for each version, region and tenant with the subject's bands and bets."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors import Crossing
from pipeline.detect.findings import Finding
from pipeline.detect.known_days import KnownDays
from pipeline.detect.layout import BlockView, DerivedTests, GridLayout
from pipeline.detect.one_sided_tests import CrossingKey, OneSidedTest
from pipeline.detect.segments.segment_bank import SegmentBank
from pipeline.detect.segments.segment_sums import SegmentSums, group_rows, sum_groups
from pipeline.detect.segments.segment_values import NOT_MONITORED, SegmentValue, SegmentValues, compute_densities
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shared_values import share_array
from pipeline.detect.signals import catalogue, channels, label_indexes

SETTLING_PANES = 3600
"""Maximum length of the settling period of a value, in panes (seconds)."""

DEVIATING_SHARE = 0.5
"""Minimum share of a value's records over which a test must deviate for the deviation to count as normal."""

DEVIATING_EVIDENCE = 4.0
"""Minimum evidence of such a deviation. Chance alone rarely produces this much evidence."""

AFFECTED_SHARE = 0.5
"""Share of a threshold that the total evidence of the affected values must reach for them to be reported."""

TENANT_EVIDENCE = 1.0
"""Minimum evidence at which a tenant counts as affected."""

NARROWER_SHARE = 0.8
"""Share of a band's half-width below which a renewed band is much narrower."""

SEGMENT_CHANNELS = ("rate", "location", channels.OVERDUE)
"""The channels that are tested per segment. Tails and dispersion are only tested for the full subject."""

TENANT, PROVIDER = "tenant", "provider"

Labels = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class SegmentObservation:
    """A block by segment value.

    Attributes
    ----------
    values
        The ``V`` values in the block, with their dimensions.
    sums
        The sums of the values.
    signal_records_before
        Shape ``(V, S)``: the number of records before the block that carried the signal of each test.
    crossings
        The crossings of the values' tests.
    """

    values: list[tuple[str, SegmentValue]]
    sums: SegmentSums
    signal_records_before: NDArray[np.float64]
    crossings: list[Crossing]

    @property
    def indexes(self) -> dict[tuple[str, str], int]:
        """Index of each value, by dimension and label."""
        return {(dimension, value.label): index for index, (dimension, value) in enumerate(self.values)}


class Segments:
    """The values of all dimensions, and their tests.

    A dimension is monitored while at least two of its values are live, or while a test of a value is latched. A new
    version is monitored from its first record. For regions, tenants and original versions, values outside the subject's
    band may be normal. If a test deviates over most of the first records of such a value, it is excluded until the next
    baseline.

    Parameters
    ----------
    tests, layout, settings
        The tests, layout and settings of the monitor.

    Attributes
    ----------
    tests
        The ``S`` tests that run per value. The tests of rates come first.
    signal_indexes
        Shape ``(S,)``: the index of each test's signal in the values of a view.
    grid_columns
        The columns of a grid that the tests need.
    grid_pairs
        Shape ``(2, S)``: the grid columns of the presence and the channel of each test.
    presence_columns, channel_columns
        Shape ``(S,)``: for each test, the positions of its signal's presence and of its channel in ``grid_columns``.
    bank
        The test statistics.
    dimensions
        The values by dimension.
    """

    def __init__(
        self, tests: Sequence[OneSidedTest], layout: GridLayout, settings: DetectSettings, known_days: KnownDays
    ) -> None:
        selected = [
            index for index, test in enumerate(tests) if test.tier == "page" and test.channel in SEGMENT_CHANNELS
        ]
        selected.sort(key=lambda index: tests[index].channel not in channels.BINARY)
        self.tests = DerivedTests(tests[index] for index in selected)
        self.signal_indexes = share_array(layout.signal_indexes[selected])
        self._settings, self._layout, self._known_days = settings, layout, known_days
        presence_columns, channel_columns = layout.presence_columns[selected], layout.channel_columns[selected]
        self.grid_columns = share_array(np.unique(np.concatenate([presence_columns, channel_columns])))
        self.grid_pairs = share_array(np.stack([presence_columns, channel_columns]))
        self.presence_columns = share_array(self.grid_columns.searchsorted(presence_columns))
        self.channel_columns = share_array(self.grid_columns.searchsorted(channel_columns))
        self.bank = SegmentBank(self.tests, self.channel_columns, self.presence_columns, settings.recovery_evidence)
        self.dimensions: dict[str, SegmentValues] = {}
        self._indexes = self.tests.indexes_by_crossing_key
        self._indexes_by_key = self.tests.indexes_by_key

    def count_values(self) -> tuple[int, int]:
        """Return the largest number of values of a dimension, and the number of records of values without room."""
        sizes = [len(values.values) for values in self.dimensions.values()]
        return max(sizes, default=0), sum(values.other_records for values in self.dimensions.values())

    def update(self, view: BlockView, segments: Labels, versions: Container[str]) -> SegmentObservation | None:
        """Update the statistics with one block. Return None if no dimension is monitored.

        Parameters
        ----------
        segments
            The ``R`` labels of the block, by dimension.
        versions
            The dimensions whose labels are versions.
        """
        block = view.block
        values: list[tuple[str, SegmentValue]] = []
        value_indexes: list[NDArray[np.int64]] = []
        for dimension, labels in segments.items() if self.tests else ():
            present = self._monitored_in_block(dimension, labels, view, is_version=dimension in versions)
            if present:
                indexes: dict[str | None, int] = {
                    value.label: len(values) + index for index, value in enumerate(present)
                }
                value_indexes.append(label_indexes(labels, indexes))
                values += [(dimension, value) for value in present]
        groups = group_rows(block.panes, value_indexes, len(values)) if values else None
        if groups is None:
            return None
        numbers = view.grid.numbers_by_row(self.grid_columns)
        sums = sum_groups(groups, numbers, self.bank.segment_evidence.log_bets(numbers))
        slots = np.array([value.slot for _, value in values], dtype=np.intp)
        before = np.array([value.signal_records for _, value in values])
        densities = compute_densities(value_indexes, len(values))
        explained: set[tuple[int, int]] = set()
        crossings = self.bank.observe(slots, sums, block.times_ms, partial(self._may_fire, explained), densities)
        for index, test in explained:
            self.bank.rearm(values[index][1].slot, test)
        signal_records = sums.sums.sum(axis=0)[:, self.presence_columns]
        for (_, value), by_signal, records in zip(values, signal_records, groups.value_records.tolist(), strict=True):
            value.signal_records += by_signal
            value.count_records(groups.last_pane, records)
        return SegmentObservation(values, sums, before, crossings)

    def end_settling(self, observation: SegmentObservation) -> None:
        """End the settling period of values, and exclude the tests that deviated throughout it without firing."""
        if not any(value.is_settling for _, value in observation.values):
            return
        values = [value for _, value in observation.values]
        last_pane = observation.sums.groups.last_pane
        is_young = np.array([last_pane - value.first_pane < SETTLING_PANES for value in values])
        records_max = self._settings.segment_settle_records
        is_settling = (np.array([value.signal_records for value in values]) < records_max) & is_young[:, None]
        for index, test in np.argwhere((observation.signal_records_before < records_max) & ~is_settling).tolist():
            value = values[index]
            is_fixed = self.bank.latched[value.slot, test] or (value.slot, test) in self.bank.held
            if value.is_settling and not is_fixed and self._deviates_throughout(value, test):
                self.bank.exclude(value.slot, test)
        for value, is_still_settling in zip(values, is_settling.any(axis=1).tolist(), strict=True):
            value.is_settling = value.is_settling and is_still_settling

    def should_exclude(self, observation: SegmentObservation, crossing: Crossing) -> bool:
        """Return whether a test crossed in the settling period of a value and deviated for most of its records."""
        value = observation.values[crossing.value][1]
        records = observation.signal_records_before[crossing.value, crossing.test]
        if not value.is_settling or records >= self._settings.segment_settle_records:
            return False
        if (value.slot, crossing.test) in self.bank.held:
            return False
        return self._deviates_throughout(value, crossing.test)

    def affected_tenants(self, key: CrossingKey) -> int:
        """Return the number of tenants that are affected by a drift of the full subject."""
        test = self._indexes.get(key)
        if test is None or TENANT not in self.dimensions:
            return 0
        return sum(1 for value in self.monitored_values(TENANT) if self.evidence(value, test) >= TENANT_EVIDENCE)

    def find_test(self, key: CrossingKey) -> int | None:
        """Return the test of a key, or else the location test of its signal and direction, or None."""
        signal, _, direction = key
        return self._indexes.get(key, self._indexes.get((signal, "location", direction)))

    def longest_age(self, view: BlockView, test: int, rows: NDArray[np.intp]) -> float | None:
        """Return the longest age of a test's signal in the given rows of a block, or None if no row carries it."""
        return self._layout.longest_age(view.block, int(self.signal_indexes[test]), rows)

    def excluded_tests(self) -> list[tuple[str, str, CrossingKey]]:
        """Return the excluded tests, as dimension, value and test key."""
        return [
            (dimension, value.label, self.tests[test].crossing_key)
            for dimension in self.dimensions
            for value in self.monitored_values(dimension)
            for test in np.flatnonzero(self.bank.excluded[value.slot]).tolist()
        ]

    def traffic_share(self, segment: str, pane: int) -> float:
        """Return a segment's share of the subject's records in about the last hour, or 1 if the segment is unknown."""
        for dimension, values in self.dimensions.items():
            for label, value in values.values.items():
                if segment == Finding.segment_name(dimension, label):
                    return values.traffic_share(value, pane)
        return 1.0

    def monitored_values(self, dimension: str) -> Iterator[SegmentValue]:
        """Return the monitored values of a dimension."""
        return (value for value in self.dimensions[dimension].values.values() if value.slot != NOT_MONITORED)

    def evidence(self, value: SegmentValue, test: int) -> float:
        """Return the evidence of a test for a value: its threshold if it is latched, 0 if it is excluded."""
        if self.bank.excluded[value.slot, test]:
            return 0.0
        if self.bank.latched[value.slot, test]:
            return self.tests[test].threshold
        return self.bank.evidence(value.slot, test)

    def dump(self) -> dict[str, Any]:
        """Return the state that remains valid under other settings: the values and their excluded tests."""
        return {
            "tests": self.tests.keys,
            "dimensions": [[dimension, values.dump()] for dimension, values in self.dimensions.items()],
            "excluded": [
                [dimension, label, list(self.tests[self._indexes[key]].key)]
                for dimension, label, key in self.excluded_tests()
            ],
            "held": [
                [dimension, label, list(test.key), test.mean, test.null_boundary]
                for dimension, label, _, test in self._held_tests()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned. Dimensions that are no longer monitored are dropped."""
        stored = {signal: index for index, (signal, *_) in enumerate(state["tests"])}
        sources = [stored.get(test.signal.name) for test in self.tests]
        self.dimensions = {}
        for dimension, values in state["dimensions"]:
            if dimension in self._settings.segments:
                self.dimension(dimension).load(values, sources)
        for dimension, label, key in state["excluded"]:
            test = self.find_by_key(tuple(key))
            if test is not None and dimension in self.dimensions:
                self.bank.exclude(self.monitor_value(self.dimensions[dimension].values[label]), test)
        for dimension, label, key, mean, boundary in state.get("held", ()):  # Formats before 9 do not contain it.
            test = self.find_by_key(tuple(key))
            if test is not None and dimension in self.dimensions:
                self.bank.hold(self.monitor_value(self.dimensions[dimension].values[label]), test, mean, boundary)

    def dump_evidence(self) -> dict[str, Any]:
        """Return the statistics of the tests, and the slots of the values."""
        slots = [
            [dimension, value.label, value.slot]
            for dimension in self.dimensions
            for value in self.monitored_values(dimension)
        ]
        return {"slots": slots, "bank": self.bank.dump()}

    def load_evidence(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump_evidence` returned. Call :meth:`load` first.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        self.bank.load(state["bank"])
        self._set_slots(state["slots"])

    def continue_tests(self, source: "Segments", pane: int, restarted: Container[str] = ()) -> None:
        """Continue the tests of another monitor, except for those of ``restarted`` signals. Call :meth:`load` first.

        If a test is new or its band is much narrower, the settling period of all values starts again for this test at a
        pane, because a value may have been outside the narrower band all the time.
        """
        pairs = self.tests.pairs(source.tests, restarted)
        slots = source.dump_evidence()["slots"]
        self.bank.continue_tests(source.bank, pairs)
        self._set_slots(slots)
        before = {new: _half_width(source.tests[old]) for new, old in pairs}
        settling = [
            index
            for index, test in enumerate(self.tests)
            if index not in before or _half_width(test) < NARROWER_SHARE * before[index]
        ]
        if settling:
            for values in self.dimensions.values():
                values.restart_settling(settling, pane)

    def dimension(self, name: str) -> SegmentValues:
        """Return the values of a dimension, which is added if it is new."""
        if name not in self.dimensions:
            settings = self._settings
            self.dimensions[name] = SegmentValues(
                settings.segment_values_max, len(self.tests), settings.segment_settle_records
            )
        return self.dimensions[name]

    def find_by_key(self, key: tuple[str, ...]) -> int | None:
        """Return the test with this key; None if it does not run."""
        return self._indexes_by_key.get(key)

    def monitor_value(self, value: SegmentValue) -> int:
        """Give a value a slot unless it already has one. Return its slot."""
        if value.slot == NOT_MONITORED:
            value.slot = self._free_slot()
            self.bank.open_slot(value.slot)
        return value.slot

    def _monitored_in_block(
        self, name: str, labels: Sequence[str | None], view: BlockView, *, is_version: bool
    ) -> list[SegmentValue]:
        """Return the monitored values of a block. There are none if their dimension is not monitored."""
        panes, dimension = view.block.panes, self.dimension(name)
        dimension.is_version = dimension.is_version or is_version or name == PROVIDER
        present, replaced = dimension.update(labels, int(panes[0]), int(panes[-1]))
        for value in replaced:
            value.slot = NOT_MONITORED
        has_fired = any(self.bank.latched[value.slot].any() for value in self.monitored_values(name))
        if len(dimension.live_values(int(panes[-1]))) < 2 and not has_fired:
            for value in self.monitored_values(name):
                self._release_slot(value)
            for value in present:
                value.signal_records += view.grid.prefix_sums[-1].take(self.grid_columns).take(self.presence_columns)
            return []
        for value in present:
            self.monitor_value(value)
        return present

    def _held_tests(self) -> list[tuple[str, str, int, OneSidedTest]]:
        """Return the tests with a level of their own, as dimension, value, test and the test with that level."""
        return [
            (dimension, value.label, index, test)
            for dimension in self.dimensions
            for value in self.monitored_values(dimension)
            for (slot, index), test in self.bank.held.items()
            if slot == value.slot
        ]

    def _set_slots(self, slots: Iterable[tuple[str, str, int]]) -> None:
        held = self._held_tests()
        for values in self.dimensions.values():
            for value in values.values.values():
                value.slot = NOT_MONITORED
        for dimension, label, slot in slots:
            self.dimensions[dimension].values[label].slot = slot
        self.bank.held = {(self.dimensions[name].values[label].slot, index): test for name, label, index, test in held}

    def _release_slot(self, value: SegmentValue) -> None:
        """Release the slot of a value that is not monitored, unless it has excluded tests."""
        if not self.bank.excluded[value.slot].any() and all(slot != value.slot for slot, _ in self.bank.held):
            value.slot = NOT_MONITORED
        elif self.bank.test_statistics[value.slot].any():
            self.bank.reset_slot(value.slot)

    def _free_slot(self) -> int:
        taken = {value.slot for values in self.dimensions.values() for value in values.values.values()}
        return next(slot for slot in range(len(self.bank) + 1) if slot not in taken)

    def _may_fire(self, explained: set[tuple[int, int]], crossing: Crossing) -> bool:
        """Return whether a test may fire. A test that an unknown kind of day may explain is reset after the block."""
        test = self.tests[crossing.test]
        if is_explained := self._known_days.may_explain(test, crossing.mean, crossing.started_at):
            explained.add((crossing.value, crossing.test))
        is_probe = test.signal.name in catalogue.PROBE_SIGNALS
        return not is_explained and (is_probe or crossing.tally[0] >= OneSidedTest.PAGE_RECORDS)

    def _deviates_throughout(self, value: SegmentValue, test: int) -> bool:
        records = self.bank.records_since_zero(value.slot, test, evidence_min=DEVIATING_EVIDENCE)
        return records >= DEVIATING_SHARE * float(value.signal_records[test]) and records > 0


def _half_width(test: OneSidedTest) -> float:
    return abs(test.null_boundary - test.mean)
