"""Live streams: days are shared between sources, and a stream that continues from a checkpoint is the stream itself."""

import pytest

from load.score.assistant.events import Change, Disturbances
from load.score.assistant.live_stream import SUBJECT, Checkpoint, LiveSource, LiveStream
from load.score.assistant.played_event import PlayedEvent
from pipeline.detect.settings import DetectSettings
from schemas.topics import HOUR_MS

pytestmark = pytest.mark.slow

SEED = 33
SETTINGS = DetectSettings(ready_records=500, ready_records_rate=300)
SOURCE = LiveSource(SEED, 2, per_second=0.03)
FAILS = Change(signal="error", how="probability", amount=0.5)
BROKEN = Disturbances(broken=0.5)


def play_on(stream: LiveStream, source: LiveSource) -> list[str]:
    """Ids of the drifts in three hours in which a half of the requests fail."""
    event = PlayedEvent("fail", source.end_ms + HOUR_MS, changes=(FAILS,))
    return [drift.drift_id for drifts in stream.play(event, source.end_ms + 3 * HOUR_MS) for drift in drifts]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return SOURCE.learn(SETTINGS)


def test_a_stream_learns_live_from_nothing_and_is_ready_after_a_day(checkpoint: Checkpoint) -> None:
    assert checkpoint.time_ms == SOURCE.end_ms
    assert checkpoint.baselines
    assert LiveStream(SOURCE, checkpoint, SETTINGS).step.streams[SUBJECT].baseline_version is not None


def test_two_events_from_one_checkpoint_do_not_disturb_each_other(checkpoint: Checkpoint) -> None:
    parts = dict(checkpoint.parts)
    first, second = (play_on(LiveStream(SOURCE, checkpoint, SETTINGS), SOURCE) for _ in range(2))
    assert first == second != []
    assert checkpoint.parts == parts
    assert SOURCE.learn(SETTINGS) is checkpoint


def test_a_restored_stream_finds_what_the_uninterrupted_stream_finds(checkpoint: Checkpoint) -> None:
    uninterrupted = LiveStream(SOURCE, Checkpoint(SOURCE.start_ms), SETTINGS)
    healthy = PlayedEvent("healthy", SOURCE.end_ms)
    fired = [
        drift.drift_id
        for until_ms in (SOURCE.start_ms + 24 * HOUR_MS, SOURCE.end_ms)
        for drifts in uninterrupted.play(healthy, until_ms)
        for drift in drifts
    ]
    assert fired == [drift.drift_id for drift in checkpoint.fired]
    assert play_on(uninterrupted, SOURCE) == play_on(LiveStream(SOURCE, checkpoint, SETTINGS), SOURCE)


def test_broken_messages_are_counted_as_dead_letters(checkpoint: Checkpoint) -> None:
    stream = LiveStream(SOURCE, checkpoint, SETTINGS)
    event = PlayedEvent("broken", SOURCE.end_ms, messages=BROKEN)
    for _ in stream.play(event, SOURCE.end_ms + HOUR_MS):
        pass
    assert stream.dead_letters > 20
