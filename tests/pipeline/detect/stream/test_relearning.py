"""Accepted and declared changes are relearned, published and used, and other signals do not change."""

import random
from dataclasses import replace

import pytest

from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.drift import Drift
from schemas.message import AHEAD_MAX_MS
from schemas.relearn import Relearn
from schemas.topics import BASELINES, DEAD_LETTERS
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, message, record

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500, relearn_after_s=60)
SHIFT = 4000
END = 9000
STEP_MS = 40


def stream(seed: int, *, refused: float = 0.3) -> list[RawMessage]:
    rng = random.Random(seed)
    rates = [0.01] * SHIFT + [refused] * (END - SHIFT)
    return [
        message(number, as_json(record(rng, number, at, refused=rate)), at)
        for number, rate in enumerate(rates)
        for at in (START_MS + number * STEP_MS,)
    ]


def relearn(
    at: int = START_MS + SHIFT * STEP_MS, *, signals: tuple[str, ...] = ("refused",), offset: int = 50
) -> RawMessage:
    content = Relearn(relearn_id="r", subject="bot", at=at, signals=list(signals), reason="accepted")
    return RawMessage(BASELINES, 0, offset, at, b"k", content.to_json())


def run(
    step: DetectStep, messages: list[RawMessage], *, request: RawMessage | None = None, at: int = SHIFT
) -> list[OutputMessage]:
    outputs = step.step(messages[:at])
    if request is not None:
        outputs += step.control(request)
    return outputs + step.step(messages[at:])


def drifts_in_state(outputs: list[OutputMessage], state: str) -> list[Drift]:
    # A third of the error types in the stream are unusable, which does not depend on baselines.
    return [drift for drift in read_drifts(outputs) if drift.state == state and drift.signal != "unusable_field"]


def fired(outputs: list[OutputMessage]) -> list[Drift]:
    return drifts_in_state(outputs, "firing")


def baselines(outputs: list[OutputMessage]) -> list[Baseline]:
    return [Baseline.from_json(output.value or b"") for output in outputs if output.topic == BASELINES]


def test_a_shift_that_was_not_declared_fires():
    assert {drift.signal for drift in fired(run(DetectStep(0, SETTINGS, replay=True), stream(1)))} == {"refused"}


def test_a_declared_shift_does_not_fire_and_becomes_the_baseline():
    outputs = run(DetectStep(0, SETTINGS, replay=True), stream(1), request=relearn())
    assert fired(outputs) == []
    first, accepted = baselines(outputs)
    assert (first.source, accepted.source) == ("live", "accepted")
    assert accepted.signals["refused"].mean == pytest.approx(0.3, abs=0.05)
    assert accepted.signals["latency_ms"] == first.signals["latency_ms"]
    assert accepted.signals["refused"].learned_from >= START_MS + SHIFT * STEP_MS
    assert accepted.baseline_version != first.baseline_version


def test_signals_that_were_not_named_are_monitored_as_before():
    outputs = run(DetectStep(0, SETTINGS, replay=True), stream(1), request=relearn(signals=("length",)))
    assert {drift.signal for drift in fired(outputs)} == {"refused"}


@pytest.mark.slow
def test_without_names_every_signal_is_relearned():
    accepted = baselines(run(DetectStep(0, SETTINGS, replay=True), stream(1), request=relearn(signals=())))[-1]
    assert {signal.learned_from for signal in accepted.signals.values()} != {None}
    assert all(signal.learned_from is not None for signal in accepted.signals.values())


@pytest.mark.slow
def test_after_relearning_another_shift_fires():
    messages = stream(1)
    rng = random.Random(2)
    worse = [
        message(END + number, as_json(record(rng, END + number, START_MS + (END + number) * STEP_MS, refused=0.9)))
        for number in range(1500)
    ]
    step = DetectStep(0, SETTINGS, replay=True)
    assert fired(run(step, messages, request=relearn())) == []
    drifts = fired(step.step(worse))
    assert {drift.signal for drift in drifts} == {"refused"}
    assert all(drift.normal == pytest.approx(0.3, abs=0.05) for drift in drifts)


def test_a_request_older_than_the_baseline_is_ignored():
    outputs = run(DetectStep(0, SETTINGS, replay=True), stream(1), request=relearn(at=START_MS + 1000))
    assert {drift.signal for drift in fired(outputs)} == {"refused"}
    assert len(baselines(outputs)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(SHIFT + 200, END, 1400))
def test_a_restart_while_relearning_changes_nothing(cut):
    messages = stream(3)
    unbroken = DetectStep(0, SETTINGS, replay=True)
    expected = run(unbroken, messages, request=relearn())
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    outputs = run(step, messages[:cut], request=relearn())
    checkpoint.take(step)
    restored = DetectStep(0, SETTINGS, replay=True)
    for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
        restored.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
    restored.control(relearn())
    checkpoint.restored(restored, random.Random(0))
    assert outputs + restored.step(messages[cut:]) == expected


@pytest.mark.slow
def test_a_relearning_that_replaces_another_is_restored_without_parts_of_the_first():
    messages = stream(6)
    later = SHIFT + 800
    second = relearn(at=START_MS + later * STEP_MS, signals=("length",), offset=51)
    steps, checkpoint = [DetectStep(0, SETTINGS, replay=True) for _ in range(2)], Checkpoint()
    published = []
    for step in steps:
        published = run(step, messages[: later - 100], request=relearn())
    checkpoint.take(steps[1])
    for step in steps:
        step.step(messages[later - 100 : later])
        step.control(second)
        step.step(messages[later : later + 200])
    checkpoint.take(steps[1])
    restored = DetectStep(0, SETTINGS, replay=True)
    for offset, output in enumerate(output for output in published if output.topic == BASELINES):
        restored.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
    checkpoint.restored(restored, random.Random(0))
    rest = messages[later + 200 :]
    expected = steps[0].step(rest)
    assert [baseline.source for baseline in baselines(expected)] == ["accepted"]
    assert restored.step(rest) == expected


def test_a_request_that_came_while_no_worker_ran_is_applied():
    messages = stream(4)
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    outputs = step.step(messages[:SHIFT])
    checkpoint.take(step)
    restored = DetectStep(0, SETTINGS, replay=True)
    for output in outputs:
        if output.topic == BASELINES:
            restored.control(RawMessage(BASELINES, 0, 0, START_MS, output.key, output.value))
    restored.control(relearn())
    checkpoint.restored(restored, random.Random(0))
    later = restored.step(messages[SHIFT:])
    assert fired(later) == []
    assert [baseline.source for baseline in baselines(later)] == ["accepted"]


def test_a_request_that_cannot_be_read_is_a_dead_letter():
    broken = RawMessage(BASELINES, 0, 1, START_MS, b"k", b'{"type": "relearn", "subject": "bot", "at": "soon"}')
    [letter] = DetectStep(0, SETTINGS, replay=True).control(broken)
    assert letter.topic == DEAD_LETTERS
    content = DeadLetter.from_json(letter.value or b"")
    assert content.reason == "contract"
    assert "not a valid relearn request" in (content.detail or "")


@pytest.mark.parametrize(("ahead_ms", "is_used"), [(AHEAD_MAX_MS, True), (AHEAD_MAX_MS + 1, False)])
def test_a_live_request_far_ahead_of_its_arrival_is_a_dead_letter_and_mutes_nothing(ahead_ms, is_used):
    arrival_ms = START_MS + SHIFT * STEP_MS
    request = replace(relearn(at=arrival_ms + ahead_ms), timestamp=arrival_ms)
    outputs = run(DetectStep(0, SETTINGS, replay=False), stream(1), request=request)
    letters = [DeadLetter.from_json(output.value or b"") for output in outputs if output.topic == DEAD_LETTERS]
    assert [letter.reason for letter in letters] == ([] if is_used else ["timestamp_out_of_range"])
    assert {drift.signal for drift in fired(outputs)} == (set() if is_used else {"refused"})


def test_a_replayed_request_has_no_time_of_arrival():
    request = replace(relearn(), timestamp=START_MS - AHEAD_MAX_MS)
    assert fired(run(DetectStep(0, SETTINGS, replay=True), stream(1), request=request)) == []


def test_open_drifts_end_once_the_relearned_baseline_is_in_use():
    late = relearn(at=START_MS + (SHIFT + 1500) * STEP_MS)
    outputs = run(DetectStep(0, SETTINGS, replay=True), stream(1), request=late, at=SHIFT + 1500)
    opened = {drift.drift_id for drift in fired(outputs)}
    assert opened
    over = drifts_in_state(outputs, "recovered")
    assert {drift.drift_id for drift in over} == opened
    assert all("a new baseline" in drift.sentence for drift in over)
    assert [output.topic for output in outputs].index(BASELINES) < len(outputs)
    assert baselines(outputs)[-1].source == "accepted"


def test_a_published_baseline_ends_the_drifts_of_the_one_before():
    messages = stream(5)
    step = DetectStep(0, SETTINGS, replay=True)
    outputs = step.step(messages)
    opened = {drift.drift_id for drift in fired(outputs)}
    assert opened
    newer = baselines(outputs)[0].model_copy(update={"source": "file", "baseline_version": "another"})
    outputs_after = step.control(RawMessage(BASELINES, 0, 9, START_MS, b"k", newer.to_json()))
    assert {drift.drift_id for drift in drifts_in_state(outputs_after, "recovered")} == opened
