"""Baselines that several partitions of a worker read: each is checked once."""

import gc

import pytest

from pipeline.detect import control
from pipeline.detect.control import read_control
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS
from tests.pipeline.detect.worlds import learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
BASELINE = learned(normal_world(1, 5000), SETTINGS)


def published(value):
    return RawMessage(BASELINES, 0, 4, START_MS, b"k", value)


@pytest.fixture
def monitors(monkeypatch):
    """The baselines for which a monitor was built to check them."""
    built = []

    class CountedMonitor(control.Monitor):
        def __init__(self, baseline, *rest, **options):
            built.append(baseline)
            super().__init__(baseline, *rest, **options)

    monkeypatch.setattr(control, "Monitor", CountedMonitor)
    return built


def test_partitions_share_a_checked_baseline_while_one_of_them_keeps_it(monitors):
    steps = [DetectStep(partition, SETTINGS, replay=False) for partition in range(4)]
    for step in steps:
        # Each partition gets bytes of its own.
        assert step.control(published(bytes(bytearray(BASELINE.to_json())))) == []
    (first, *others) = [step._baselines.baselines_of(BASELINE.subject)[0] for step in steps]
    assert all(other is first for other in others)
    assert first.baseline_version == BASELINE.baseline_version
    assert len(monitors) == 1
    del steps, step, first, others
    gc.collect()
    DetectStep(0, SETTINGS, replay=False).control(published(BASELINE.to_json()))
    assert len(monitors) == 2


def test_other_settings_check_a_baseline_again_and_an_unusable_one_stays_a_dead_letter(monitors):
    value = BASELINE.model_copy(update={"baseline_version": "other"}).to_json()
    kept = [read_control(published(value), value, SETTINGS, replay=False)]
    kept.append(read_control(published(value), value, SETTINGS.model_copy(update={"band_odds_max": 9.0}), replay=False))
    assert len(monitors) == 2
    for _ in range(2):
        assert isinstance(read_control(published(b"{}"), b"{}", SETTINGS, replay=False), OutputMessage)
