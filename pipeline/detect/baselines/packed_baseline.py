"""A baseline in little memory, for the streams that use it."""

import functools

import cramjam
import numpy as np

from schemas.baseline import Baseline

READ_BASELINES_MAX = 8
"""Maximum number of read baselines that stay in memory. Each takes about a third of a megabyte."""


class PackedBaseline:
    """A baseline, compressed. A stream needs its baseline only for a finding, and each baseline has thousands of numbers.

    Parameters
    ----------
    baseline
        The baseline.

    Attributes
    ----------
    baseline_version, source
        Its version and its source.
    effective_at
        Event time from which it applies in Unix milliseconds, or 0.
    longest_gap_s, quietest_per_s
        Longest time without a record, and records per second in the quietest slice.
    """

    __slots__ = (
        "_content",
        "_counts",
        "_knots",
        "baseline_version",
        "effective_at",
        "longest_gap_s",
        "quietest_per_s",
        "source",
    )

    def __init__(self, baseline: Baseline) -> None:
        self.baseline_version, self.source = baseline.baseline_version, baseline.source
        self.effective_at = baseline.effective_at or 0
        self.longest_gap_s, self.quietest_per_s = baseline.longest_gap_s, baseline.quietest_per_s
        knots = {name: signal.knots for name, signal in baseline.signals.items() if signal.knots is not None}
        numbers = np.array([number for quantiles in knots.values() for number in quantiles])
        self._counts = {name: len(quantiles) for name, quantiles in knots.items()}
        # Numbers as bytes are as small as their text when both are compressed, and much faster to read.
        self._knots = bytes(cramjam.zstd.compress(numbers.tobytes(), 1))
        signals = {name: signal.model_copy(update={"knots": None}) for name, signal in baseline.signals.items()}
        content = baseline.model_copy(update={"signals": signals}).to_json()
        self._content = bytes(cramjam.zstd.compress(content, 1))

    def read(self) -> Baseline:
        """Return the baseline."""
        return _read(self)

    def _unpack(self) -> Baseline:
        baseline = Baseline.from_json(bytes(cramjam.zstd.decompress(self._content)))
        numbers = np.frombuffer(bytes(cramjam.zstd.decompress(self._knots)))
        signals, start = dict(baseline.signals), 0
        for name, count in self._counts.items():
            knots = numbers[start : start + count].tolist()
            signals[name] = signals[name].model_copy(update={"knots": knots})
            start += count
        return baseline.model_copy(update={"signals": signals})


@functools.lru_cache(READ_BASELINES_MAX)
def _read(packed: PackedBaseline) -> Baseline:
    return packed._unpack()  # noqa: SLF001 - cached per baseline, in bounded memory
