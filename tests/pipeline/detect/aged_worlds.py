"""Worlds whose records carry the age of an index, as blocks, and baselines that are learned from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from pipeline.detect.baselines.learner import Learner
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.block import PANE_MS, Block
from schemas.baseline import Baseline
from tests.pipeline.detect.worlds import BY_NAME

HOUR_S, DAY_S = 3600.0, 86_400.0
NOON_S = 20_782.5 * DAY_S
"""2026-11-25T12:00:00Z, when the records of a world begin."""

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def nightly(count: int) -> list[float]:
    """Resets at two o'clock of ``count`` nights, of which the first is before noon."""
    return [NOON_S - 10 * HOUR_S + night * DAY_S for night in range(count)]


def ages_at(times_s: np.ndarray, resets: Sequence[float]) -> np.ndarray:
    """The seconds since the last reset, or 0 without resets."""
    if not len(resets):
        return np.zeros(times_s.size)
    ordered = np.sort(np.asarray(resets, dtype=float))
    return times_s - ordered[np.maximum(np.searchsorted(ordered, times_s, side="right") - 1, 0)]


def age_blocks(
    resets: Sequence[float],
    until_s: float,
    *,
    from_s: float = NOON_S,
    every_s: float = 30.0,
    size: int = 128,
    change: Change = lambda ages, _: ages,
    lag_s: Callable[[int], np.ndarray] = np.zeros,
    error: Callable[[np.ndarray], np.ndarray] | None = None,
    labels: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Block]:
    """Blocks of records every ``every_s`` seconds with an index age, a latency and an error.

    A record arrives ``lag_s`` late: its pane is that of its arrival. The ``labels`` of a
    dimension are carried by one record each in turn. Those of the dimension ``index`` are versions.
    """
    arrivals_s = np.arange(from_s, until_s, every_s)
    random = np.random.default_rng(int(from_s))
    times_s = arrivals_s - lag_s(arrivals_s.size)
    ages = change(ages_at(times_s, resets), times_s)
    errors = (random.random(times_s.size) < 0.01).astype(float)
    values = np.column_stack(
        [ages, random.lognormal(6.0, 0.4, times_s.size), errors if error is None else np.fmax(errors, error(times_s))]
    )
    for begin in range(0, times_s.size, size):
        rows = slice(begin, begin + size)
        segments = {
            name: [in_turn[row % len(in_turn)] for row in range(times_s.size)[rows]] for name, in_turn in labels.items()
        }
        yield Block(
            signals=[BY_NAME[name] for name in ("index_age_s", "latency_ms", "error")],
            values=values[rows],
            panes=(arrivals_s[rows] * 1000).astype(np.int64) // PANE_MS,
            times_ms=(times_s[rows] * 1000).astype(np.int64),
            request_ids=[f"r-{row}" for row in range(begin, begin + values[rows].shape[0])],
            categories={},
            first=np.ones(values[rows].shape[0], dtype=bool),
            segments=segments,
            versions={"index": segments["index"]} if "index" in segments else {},
        )


def learn_ages(resets: Sequence[float], until_s: float, settings: DetectSettings, **world: object) -> Baseline:
    """The baseline of a world from noon until a time."""
    learner = Learner("bot", settings)
    for part in age_blocks(resets, until_s, **world):  # type: ignore[arg-type]
        learner.observe(part)
    return learner.baseline("live")
