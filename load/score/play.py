"""Playing: a stream goes through the real detect step, and what it says is kept beside the truth."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from load.score.scenario import Scenario
from load.score.stream import Told, baseline_of, change_ms, joined, stream
from load.world import Columns
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import Message
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS, RECORDS

MERGE_MS = 3_600_000
"""Firings of one tier within an hour of event time are one incident."""


@dataclass(slots=True)
class Played:
    """What came out of one stream.

    Attributes
    ----------
    fired
        The drifts that began, in order.
    columns
        The truth of all records, in the order of their times.
    """

    baseline: Baseline
    fired: list[Drift] = field(default_factory=list)
    dead_letters: int = 0
    judged: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    columns: Columns | None = None


def play(baseline: Baseline, parts: Iterable[Told], settings: DetectSettings, *, keep_columns: bool = True) -> Played:
    """Give a stream to a fresh step that has a baseline."""
    step = DetectStep(0, settings, replay=True)
    step.control(Message(BASELINES, 0, 0, 0, None, baseline.to_json()))
    played, offset, kept = Played(baseline), 0, []
    for part in parts:
        messages = [Message(RECORDS, 0, offset + row, 0, None, line) for row, line in enumerate(part.lines)]
        offset += len(messages)
        for output in step.step(messages):
            if output.topic == DRIFTS and output.value is not None and b'"type":"drift"' in output.value:
                drift = Drift.from_json(output.value)
                if drift.state == "firing":
                    played.fired.append(drift)
            played.dead_letters += output.topic == DEAD_LETTERS
        if keep_columns:
            kept.append(part.columns)
    played.judged, played.counts = step.judged_share(), step.counts()
    played.columns = joined(kept) if kept else None
    return played


def play_scenario(scenario: Scenario, seed: int, settings: DetectSettings) -> Played:
    """Play one scenario with one seed."""
    return play(baseline_for(scenario, seed, settings), stream(scenario, seed), settings)


def baseline_for(scenario: Scenario, seed: int, settings: DetectSettings) -> Baseline:
    """The baseline by which a scenario is judged."""
    return baseline_of(
        scenario.world,
        seed,
        scenario.records_per_second,
        settings,
        embedded=scenario.embeddings,
        whole=scenario.whole_day,
        days=scenario.baseline_days,
    )


def incidents(times_ms: Iterable[int]) -> int:
    """How many incidents the times of firings make, if those within an hour of the one before are one."""
    ordered = sorted(times_ms)
    return sum(1 for before, time in zip([-np.inf, *ordered], ordered, strict=False) if time - before > MERGE_MS)


__all__ = ["Played", "change_ms", "incidents", "play", "play_scenario"]
