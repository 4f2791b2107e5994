"""The changes of shape of one stream: windows, tests that fire, and drifts that are open.

Records are counted by rank bin in windows of at least a minute that consist of complete blocks. When a window ends, each
test of a share adds its evidence. A share that leaves its band raises a ticket, unless another test of the same signal has
already fired: the mean or a tail then says more.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.findings import Finding, Latch
from pipeline.detect.layout import BlockBatch, BlockView, GridLayout
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape.open_shape import OpenShape
from pipeline.detect.shape.shape_bank import ShapeBank
from pipeline.detect.shape.shape_tests import WINDOW_PANES, ShapeTest, derive_shape_tests
from pipeline.detect.signals import PANE_MS, channels
from schemas.baseline import Baseline

NEIGHBOUR_SHARE = 0.1
"""Share of the threshold above which a bin beside the one that fired has moved with it."""


class ShapeDrifts:
    """The tests of shapes of one stream, and the drifts that they found.

    Parameters
    ----------
    baseline, packed_baseline
        The baseline, and the same baseline in little memory.
    layout
        The layout of the monitor.
    is_sampled
        Whether the records are sampled by outcome.
    """

    def __init__(
        self,
        baseline: Baseline,
        packed_baseline: PackedBaseline,
        layout: GridLayout,
        settings: DetectSettings,
        *,
        is_sampled: bool,
    ) -> None:
        self._subject, self._baseline, self._settings = baseline.subject, packed_baseline, settings
        self._rate_count, self._value_count = layout.rate_count, layout.value_count
        values = [layout.signals[index] for index in layout.value_indexes]
        self._signals = values
        tests = derive_shape_tests(baseline, values, settings, is_sampled=is_sampled)
        self._bank = ShapeBank(tests, len(values)) if tests else None
        self._window_pane: int | None = None
        self._open: dict[int, OpenShape] = {}
        self._untested: list[tuple[str, OpenShape]] = []

    @property
    def is_idle(self) -> bool:
        """Whether no drift is open."""
        return not self._open and not self._untested

    def observe(self, view: BlockView, find_told: Callable[[], Collection[str]]) -> list[Finding]:
        """Add a block. Return the findings of the window that it ends.

        Parameters
        ----------
        find_told
            Returns the names of the signals with another open drift. It is called at the end of a window.
        """
        if self._bank is None:
            return []
        block = view.block
        findings = self.begin_block(int(block.panes[0]), int(block.times_ms[0]), block.request_ids[0], find_told)
        numbers = view.grid.numbers.reshape(-1, view.grid.numbers.shape[-1])
        self._bank.counts += channels.count_bins(_find_bins(numbers, self._rate_count, self._value_count))[0]
        return findings

    @staticmethod
    def count_batch(batch: BlockBatch) -> NDArray[np.intp]:
        """Count the rank bins of the blocks of a batch, shape ``(streams, V, BINS)``."""
        layout = batch.layouts[0]
        bins = _find_bins(batch.by_row[:-1], layout.rate_count, layout.value_count)
        return channels.count_bins(bins, batch.streams, len(batch.layouts))

    def add_counts(self, counts: NDArray[np.intp], pane: int, time_ms: int, request_id: str | None) -> list[Finding]:
        """Add a block of a stream without open drifts from the counts of its bins, as :meth:`observe` does."""
        if self._bank is None:
            return []
        findings = self.begin_block(pane, time_ms, request_id, tuple)
        self._bank.counts += counts
        return findings

    def begin_block(
        self, pane: int, time_ms: int, request_id: str | None, find_told: Callable[[], Collection[str]]
    ) -> list[Finding]:
        """Begin a block with its first record. If it ends a window, test the window."""
        bank = self._bank
        if bank is None or (self._window_pane is not None and pane - self._window_pane < WINDOW_PANES):
            return []
        started, self._window_pane = self._window_pane, pane
        if started is None:
            return []
        findings = self._advance_open(bank, time_ms)
        told = find_told()
        excluded = set(self._open) | {index for index, signal in enumerate(self._signals) if signal.name in told}
        counts = bank.counts.copy()
        bank.end_window(started * PANE_MS, excluded)
        crossed = (test for test in bank.find_crossings() if not self._is_improvement(bank, test, counts))
        return findings + [self._fire(bank, test, time_ms, request_id) for test in crossed]

    @property
    def open_signals(self) -> Counter[str]:
        """Names of the signals with an open drift, with the number of drifts."""
        return Counter([*(self._signals[value].name for value in self._open), *(name for name, _ in self._untested)])

    def close_drifts(self, now_ms: int, closes: Callable[[str, str], bool] | None = None) -> list[Finding]:
        """Close drifts because of a new baseline: all, or those of the signals and segments that ``closes`` selects."""
        closed = [value for value in self._open if closes is None or closes(self._signals[value].name, "")]
        return self.end_untested(now_ms) + [
            self._end(self._signals[value].name, self._open.pop(value), now_ms, "a new baseline is in use")
            for value in closed
        ]

    def end_untested(self, now_ms: int) -> list[Finding]:
        """End the drifts whose tests no longer run after a change of settings or sampling."""
        untested, self._untested = self._untested, []
        return [self._end(name, drift, now_ms, Latch.UNTESTED) for name, drift in untested]

    def reset(self) -> None:
        """Reset the evidence and the window after a gap in the records. Drifts stay open."""
        self._window_pane = None
        if self._bank is not None:
            self._bank.reset()

    def continue_tests(self, source: "ShapeDrifts") -> None:
        """Continue the tests of another monitor without open drifts. The counts of its window are not used."""
        if self._bank is None or source._bank is None:  # noqa: SLF001 - the same class
            return
        theirs = {
            (source._signals[value].name, *rest): index  # noqa: SLF001 - the same class
            for index, (value, *rest) in enumerate(source._bank.keys)  # noqa: SLF001 - the same class
        }
        pairs = [
            (index, theirs[key])
            for index, (value, *rest) in enumerate(self._bank.keys)
            if (key := (self._signals[value].name, *rest)) in theirs
        ]
        self._bank.continue_tests(source._bank, pairs)  # noqa: SLF001 - the same class

    def dump_drifts(self) -> list[list[Any]]:
        """Return the open drifts: the name of the signal and the state of each."""
        opened = [(self._signals[value].name, drift) for value, drift in self._open.items()]
        return [[name, drift.dump()] for name, drift in opened + self._untested]

    def load_drifts(self, state: Sequence[Sequence[Any]]) -> None:
        """Restore the open drifts."""
        indexes = {signal.name: index for index, signal in enumerate(self._signals)}
        for name, content in state:
            drift, value = OpenShape(**content), indexes.get(name, -1)
            if self._bank is not None and self._bank.find(value, drift.bin, rising=drift.rising) is not None:
                self._open[value] = drift
            else:
                self._untested.append((name, drift))

    def dump_evidence(self) -> dict[str, Any] | None:
        """Return the test statistics and the current window, or None if there are no tests."""
        return None if self._bank is None else {"window_pane": self._window_pane, **self._bank.dump()}

    def load_evidence(self, state: Mapping[str, Any] | None) -> None:
        """Restore the test statistics. Checkpoints of formats before 9 do not contain them.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        if state is not None and self._bank is not None:
            self._window_pane = state["window_pane"]
            self._bank.load(dict(state))

    def _advance_open(self, bank: ShapeBank, now_ms: int) -> list[Finding]:
        findings = []
        for value, drift in list(self._open.items()):
            index = bank.find(value, drift.bin, rising=drift.rising)
            if index is None:
                continue
            state = drift.add_window(
                bank.counts[value],
                bank.build_test(index, self._signals).test,
                self._settings.recovery_evidence,
                now_ms=now_ms,
                after_s=self._settings.evidence_after_s,
            )
            if state is not None:
                signal = self._signals[value]
                findings.append(drift.build_finding(signal, self._baseline.read().signals[signal.name], state, now_ms))
            if state == "recovered":
                del self._open[value]
        return findings

    def _is_improvement(self, bank: ShapeBank, index: int, counts: NDArray[np.intp]) -> bool:
        """Return whether a bin has fewer values than normal, but the bins that are worse have not more of them.

        ``counts`` are the counts of the window, shape ``(V, BINS)``.
        """
        value, number, test = bank.build_test(index, self._signals)
        signal = self._signals[value]
        shape = self._baseline.read().signals[signal.name].shape
        if test.rising or signal.direction == "both" or shape is None:
            return False
        worse = slice(number + 1, None) if signal.direction == "up" else slice(number)
        return bool(counts[value, worse].sum() <= sum(shape.shares[worse]) * counts[value].sum())

    def _fire(self, bank: ShapeBank, index: int, time_ms: int, request_id: str | None) -> Finding:
        """Open a drift at the first record after a window."""
        fired = bank.build_test(index, self._signals)
        value, number, test = fired
        evidence, started_ms, records, events = bank.strongest_bet(index)
        first, last = (self._find_last_neighbour(bank, fired, step) for step in (-1, 1))
        shares = []
        for other in range(first, last + 1):
            neighbour = bank.find(value, other, rising=test.rising)
            if neighbour is not None:
                _, _, other_records, other_events = bank.strongest_bet(neighbour)
                shares.append(other_events / max(1, other_records))
        drift = OpenShape(
            bin=number,
            rising=test.rising,
            first_bin=first,
            last_bin=last,
            side=fired.side,
            started_at=started_ms,
            detected_at=max(time_ms, started_ms),
            request_id=request_id,
            evidence=evidence,
            threshold=test.threshold,
            share=events / max(1, records),
            records=records,
            since_message=[records, round(min(sum(shares), 1.0) * records)],
        )
        self._open[value] = drift
        signal = self._signals[value]
        return drift.build_finding(signal, self._baseline.read().signals[signal.name], "firing", drift.detected_at)

    @staticmethod
    def _find_last_neighbour(bank: ShapeBank, fired: ShapeTest, step: int) -> int:
        """Return the last bin in one direction that moved with the bin of a test."""
        value, number, test = fired
        while (other := bank.find(value, number + step, rising=test.rising)) is not None:
            if bank.strongest_bet(other)[0] < NEIGHBOUR_SHARE * test.threshold:
                break
            number += step
        return number

    def _end(self, name: str, drift: OpenShape, now_ms: int, reason: str) -> Finding:
        learned = self._baseline.read().signals[name]
        signal = channels.find_signal(name, learned.kind, self._subject, self._settings)
        if signal is None:
            raise ValueError(f"signal {name} is no longer in the catalogue: its change of shape cannot be ended")
        finding = drift.build_finding(signal, learned, "recovered", now_ms, f"{name} has ended: {reason}")
        return replace(finding, evidence=0.0, threshold=self._settings.recovery_evidence)


def _find_bins(numbers: NDArray[np.float64], rate_count: int, value_count: int) -> NDArray[np.intp]:
    """Return the rank bins of the values of a grid's rows, shape ``(R, V)``."""
    presences = slice(rate_count, rate_count + value_count)
    locations = slice(2 * rate_count + value_count, 2 * rate_count + 2 * value_count)
    return channels.find_bins(numbers[:, locations], numbers[:, presences])
