"""Blocks and baselines for tests, from arrays and seeds."""

from collections.abc import Iterator

import numpy as np

from pipeline.detect.baselines.baseline import BaselineSource
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.block import PANE_MS, Block
from pipeline.detect.signals.catalogue import SIGNALS, Signal
from schemas.baseline import Baseline

START_MS = 1_795_489_920_000
"""2026-11-24T03:12:00Z."""

BY_NAME = {signal.name: signal for signal in SIGNALS}


def block(
    columns: dict[str, np.ndarray],
    *,
    per_s: float = 50.0,
    first_row: int = 0,
    start_ms: int = START_MS,
    categories: dict[str, list[str | None]] | None = None,
    first: np.ndarray | None = None,
) -> Block:
    """One block of evenly spaced records; names are the catalogue's."""
    rows = len(next(iter(columns.values())))
    times = (start_ms + (first_row + np.arange(rows)) * 1000 / per_s).astype(np.int64)
    return Block(
        signals=[BY_NAME[name] for name in columns],
        values=np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()]),
        panes=times // PANE_MS,
        times_ms=times,
        request_ids=[f"r-{first_row + row}" for row in range(rows)],
        categories=categories or {},
        first=np.ones(rows, dtype=bool) if first is None else first,
    )


def blocks(
    columns: dict[str, np.ndarray],
    *,
    per_s: float = 50.0,
    size: int = 512,
    first_row: int = 0,
    start_ms: int = START_MS,
) -> Iterator[Block]:
    """Columns cut into blocks of ``size`` rows."""
    rows = len(next(iter(columns.values())))
    for begin in range(0, rows, size):
        part = {name: column[begin : begin + size] for name, column in columns.items()}
        yield block(part, per_s=per_s, first_row=first_row + begin, start_ms=start_ms)


def normal_world(seed: int, rows: int) -> dict[str, np.ndarray]:
    """A healthy support bot: latency, length, confidence, refusals, errors, emptiness."""
    random = np.random.default_rng(seed)
    return {
        "latency_ms": random.lognormal(6.5, 0.6, rows),
        "length": random.lognormal(6.8, 0.5, rows).round(),
        "confidence": random.beta(8, 2, rows),
        "refused": (random.random(rows) < 0.01).astype(float),
        "error": (random.random(rows) < 0.005).astype(float),
        "empty": np.zeros(rows),
    }


def learned(
    columns: dict[str, np.ndarray], settings: DetectSettings, *, source: BaselineSource = "file", per_s: float = 50.0
) -> Baseline:
    """The baseline that a learner makes of columns."""
    learner = Learner("support-bot", settings)
    for part in blocks(columns, per_s=per_s):
        learner.observe(part)
    return learner.baseline(source)


def with_signals(block_: Block, signals: list[Signal]) -> Block:
    """The block with its columns assigned to other signals."""
    return Block(
        signals,
        block_.values,
        block_.panes,
        block_.times_ms,
        block_.request_ids,
        block_.categories,
        block_.first,
    )
