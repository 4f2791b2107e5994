"""Functions that run streams through the real detect step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from load.score.simulation import BaselineSource, Scenario, StreamPart, generate_stream
from load.world import RecordColumns
from pipeline.detect.offline import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES, DEAD_LETTERS, RECORDS

AFTERWARDS_MS = 60_000
"""Milliseconds for which a stream continues after the expected drift fired."""


@dataclass(slots=True)
class PlayResult:
    """Result of running a stream.

    Attributes
    ----------
    baseline
        Baseline of the stream.
    columns
        All records in time order, including records that were not played.
    fired
        Drifts that fired, in order.
    dead_letters
        Number of dead letters.
    counts
        Counts of the step.
    """

    baseline: Baseline
    columns: RecordColumns
    fired: list[Drift] = field(default_factory=list)
    dead_letters: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def play_stream(
    baseline: Baseline,
    parts: Iterable[StreamPart],
    settings: DetectSettings,
    is_expected: Callable[[Drift], bool] | None = None,
) -> PlayResult:
    """Send a stream through a new step that uses a baseline.

    Playback ends one minute after a drift for which ``is_expected`` is true.
    """
    step = DetectStep(0, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
    columns: list[RecordColumns] = []
    all_fired: list[Drift] = []
    offset = dead_letters = 0
    until_ms: int | None = None
    for part in parts:
        times_ms = part.columns.times_ms
        columns.append(part.columns)
        if until_ms is not None and times_ms.size and times_ms[0] > until_ms:
            continue
        messages = [RawMessage(RECORDS, 0, offset + row, 0, None, line) for row, line in enumerate(part.lines)]
        offset += len(messages)
        outputs = step.step(messages)
        fired = [drift for drift in read_drifts(outputs) if drift.state == "firing"]
        all_fired += fired
        if is_expected is not None and until_ms is None:
            until_ms = next((drift.detected_at + AFTERWARDS_MS for drift in fired if is_expected(drift)), None)
        dead_letters += sum(output.topic == DEAD_LETTERS for output in outputs)
    return PlayResult(baseline, RecordColumns.concatenate(columns), all_fired, dead_letters, step.counts())


def play_scenario(
    scenario: Scenario, seed: int, settings: DetectSettings, is_expected: Callable[[Drift], bool] | None = None
) -> PlayResult:
    """Run a scenario with one seed until one minute after an expected drift."""
    baseline = BaselineSource.from_scenario(scenario, seed).learn(settings)
    return play_stream(baseline, generate_stream(scenario, seed), settings, is_expected)
