"""When a live baseline is ready: after its time, or after twice its time if a signal still moves."""

import random

import numpy as np
import pytest

from pipeline.detect.one_sided_tests.one_sided_test import NONSTATIONARY
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.step import DetectStep
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message, record

pytestmark = pytest.mark.slow

PER_DAY = 2400
STEP_MS = DAY_S * 1000 // PER_DAY
SETTINGS = DetectSettings(ready_records=1000, ready_records_rate=500)


def stream(days, *, factor=lambda _: 1.0, seed=1):
    rng = random.Random(seed)
    messages = []
    for number in range(round(days * PER_DAY)):
        fields = record(rng, number, START_MS + number * STEP_MS)
        fields["infrastructure"]["latency_ms"] *= factor(number / PER_DAY)
        messages.append(message(number, as_json(fields)))
    return messages


def ready_after_days(step, messages):
    """The baselines that were published, each with its time in days."""
    baselines = []
    for begin in range(0, len(messages), 100):
        outputs = step.step(messages[begin : begin + 100])
        days = (begin + 100) / PER_DAY
        baselines += [(days, Baseline.from_json(output.value)) for output in outputs if output.topic == BASELINES]
    return baselines


def cycle(day):
    return float(np.exp(0.4 * np.sin(2 * np.pi * day)))


@pytest.mark.parametrize("factor", [lambda _: 1.0, cycle], ids=["quiet", "daily cycle"])
def test_a_quiet_day_and_a_daily_cycle_are_ready_after_a_day(factor):
    [(days, baseline)] = ready_after_days(DetectStep(0, SETTINGS, replay=True), stream(1.2, factor=factor))
    assert 1.0 <= days < 1.06
    assert not any(channel.moving for signal in baseline.signals.values() for channel in signal.channels.values())


def test_a_signal_that_changes_while_learning_is_monitored_once_it_is_steady():
    # The change comes so early that two days contain few records from before it.
    step = DetectStep(0, SETTINGS, replay=True)
    [(days, baseline)] = ready_after_days(step, stream(2.2, factor=lambda day: 1.0 if day < 0.4 else 1.6))
    assert 2.0 <= days < 2.06
    assert baseline.records >= 2 * PER_DAY
    assert not any(channel.moving for channel in baseline.signals["latency_ms"].channels.values())


def test_a_signal_that_still_changes_after_twice_the_time_is_not_monitored_and_others_are():
    step = DetectStep(0, SETTINGS, replay=True)
    [(days, _)] = ready_after_days(step, stream(2.2, factor=lambda day: 1.0 + 0.8 * day))
    assert 2.0 <= days < 2.06
    monitor = step.streams["bot"].monitor
    assert {channel.signal.name for channel in monitor.not_testable if channel.reason == NONSTATIONARY} == {
        "latency_ms"
    }
    assert "refused" in {test.signal.name for test in monitor.tests}


def test_a_wait_survives_a_restart():
    messages = stream(2.2, factor=lambda day: 1.0 + 0.8 * day)
    unbroken, cut = DetectStep(0, SETTINGS, replay=True), DetectStep(0, SETTINGS, replay=True)
    at = round(1.5 * PER_DAY)
    assert ready_after_days(unbroken, messages[:at]) == ready_after_days(cut, messages[:at]) == []
    checkpoint = Checkpoint()
    checkpoint.take(cut)
    cut = checkpoint.restored(DetectStep(0, SETTINGS, replay=True), random.Random(0))
    assert ready_after_days(unbroken, messages[at:]) == ready_after_days(cut, messages[at:])
    assert full_state(unbroken) == full_state(cut)


def test_a_live_baseline_of_three_days_has_an_hourly_profile():
    settings = SETTINGS.model_copy(update={"ready_after_s": 3.0 * DAY_S})
    step = DetectStep(0, settings, replay=True)
    [(days, baseline)] = ready_after_days(step, stream(3.2, factor=cycle))
    assert 3.0 <= days < 3.06
    assert baseline.signals["latency_ms"].profile is not None
    assert baseline.signals["length"].profile is None
