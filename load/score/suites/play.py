"""Playing: a stream goes through the real detect step, and what it says is kept beside the truth."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from load.score.simulation import Scenario, Told, baseline_of, joined, normal_of, stream
from load.world import Columns
from pipeline.detect.offline import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES, DEAD_LETTERS, RECORDS

AFTERWARDS_MS = 60_000
"""How much longer a stream is played once what was looked for was found."""


@dataclass(slots=True)
class Played:
    """What came out of one stream.

    Attributes
    ----------
    fired
        The drifts that began, in order.
    columns
        The truth of all records, in the order of their times, whether they were played or not.
    """

    baseline: Baseline
    fired: list[Drift] = field(default_factory=list)
    dead_letters: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    columns: Columns | None = None


def play(
    baseline: Baseline,
    parts: Iterable[Told],
    settings: DetectSettings,
    *,
    keep_columns: bool = True,
    found: Callable[[Drift], bool] | None = None,
) -> Played:
    """Give a stream to a fresh step that has a baseline.

    Parameters
    ----------
    found
        Whether a drift is what was looked for: a minute later the rest is not played.
    """
    step = DetectStep(0, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
    played, offset, kept = Played(baseline), 0, []
    until_ms: int | None = None
    for part in parts:
        times_ms = part.columns.times_ms
        if keep_columns:
            kept.append(part.columns)
        if until_ms is not None and times_ms.size and times_ms[0] > until_ms:
            continue
        messages = [RawMessage(RECORDS, 0, offset + row, 0, None, line) for row, line in enumerate(part.lines)]
        offset += len(messages)
        outputs = step.step(messages)
        fired = [drift for drift in read_drifts(outputs) if drift.state == "firing"]
        played.fired += fired
        if found is not None and until_ms is None:
            until_ms = next((drift.detected_at + AFTERWARDS_MS for drift in fired if found(drift)), None)
        played.dead_letters += sum(output.topic == DEAD_LETTERS for output in outputs)
    played.counts = step.counts()
    played.columns = joined(kept) if kept else None
    return played


def play_scenario(
    scenario: Scenario, seed: int, settings: DetectSettings, found: Callable[[Drift], bool] | None = None
) -> Played:
    """Play one scenario with one seed, until a minute after it was found."""
    baseline = baseline_of(normal_of(scenario, seed), settings)
    return play(baseline, stream(scenario, seed), settings, found=found)
