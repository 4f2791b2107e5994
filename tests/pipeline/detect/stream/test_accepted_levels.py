"""An accepted level is normal at once. A further move is a drift, before and after the signal has been learned again."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import AcceptedLevel, Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message, record

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500, relearn_after_s=120)
STEP_MS = 40
"""25 records per second."""

LEARNED, ACCEPTED, FURTHER, END = 4000, 6000, 7500, 9000
"""Records before the first move, the acceptance and the second move. They take three minutes. Relearning takes two more."""


class World:
    """Records of one subject: the level of each, by the number of its first record."""

    def __init__(self, seed: int, levels: Sequence[tuple[int, Any]], *, end: int = END) -> None:
        rng = random.Random(seed)
        self.messages = []
        for number in range(end):
            level = [value for first, value in levels if number >= first][-1]
            self.messages.append(message(number, as_json(self.build(rng, number, level)), self.time(number)))

    @staticmethod
    def time(number: int) -> int:
        return START_MS + number * STEP_MS

    def build(self, rng: random.Random, number: int, level: Any) -> dict[str, Any]:
        return record(rng, number, self.time(number), refused=level)


class SlowWorld(World):
    """The level is a factor of the latency."""

    def build(self, rng: random.Random, number: int, level: Any) -> dict[str, Any]:
        content = record(rng, number, self.time(number))
        content["infrastructure"]["latency_ms"] *= level
        return content


class TenantWorld(World):
    """The level is the share of refused requests of the tenant acme, which sends every tenth request."""

    def build(self, rng: random.Random, number: int, level: Any) -> dict[str, Any]:
        is_acme = number % 10 == 0
        content = record(rng, number, self.time(number), refused=level if is_acme else 0.15)
        return content | {"segment": {"tenant": "acme" if is_acme else f"other-{rng.randrange(3)}"}}


def is_about(drift: Drift) -> bool:
    # A third of the error types in the stream are unusable, which does not depend on baselines.
    return drift.signal != "unusable_field"


def drifts(outputs: list[OutputMessage], state: str = "firing") -> list[Drift]:
    return [drift for drift in read_drifts(outputs) if drift.state == state and is_about(drift)]


def baselines(outputs: list[OutputMessage]) -> list[Baseline]:
    return [Baseline.from_json(output.value or b"") for output in outputs if output.topic == BASELINES]


def accept(found: Sequence[Drift], number: int, *, offset: int = 50) -> RawMessage:
    """Return the request that accepts drifts as they were last reported."""
    at = World.time(number)
    levels = [
        AcceptedLevel(
            signal=drift.signal,
            segment=drift.segment,
            channel=drift.channel,
            side=drift.side,
            normal=drift.normal,
            now=drift.now,
            records=drift.records,
            started_at=drift.started_at,
        )
        for drift in found
    ]
    signals = sorted({drift.signal for drift in found})
    request = Relearn(relearn_id="r", subject="bot", at=at, signals=signals, accepted=levels, reason="accepted")
    return RawMessage(BASELINES, 0, offset, at, b"k", request.to_json())


class Run:
    """A run that accepts what fired before record ``ACCEPTED``, as it was shown when it fired."""

    def __init__(self, world: World, *, replay: bool = True) -> None:
        self.step, self.messages = DetectStep(0, SETTINGS, replay=replay), world.messages
        self.before = self.step.step(self.messages[:ACCEPTED])
        self.request = accept(drifts(self.before), ACCEPTED)
        self.at_request = self.step.control(self.request)

    def push(self, first: int, last: int) -> list[OutputMessage]:
        return self.step.step(self.messages[first:last])


def test_an_accepted_rate_is_normal_at_once_and_its_drifts_end():
    run = Run(World(1, [(0, 0.01), (LEARNED, 0.35)], end=9500))
    opened = drifts(run.before)
    assert {drift.signal for drift in opened} == {"refused"}
    assert {drift.drift_id for drift in drifts(run.at_request, "recovered")} == {drift.drift_id for drift in opened}
    [provisional] = baselines(run.at_request)
    assert provisional.source == "provisional"
    assert provisional.signals["refused"].mean == pytest.approx(0.35, abs=0.03)
    learned = baselines(run.before)[-1]
    others = set(learned.signals) - {"refused"}
    assert all(provisional.signals[name] == learned.signals[name] for name in others)
    after = run.push(ACCEPTED, 9500)
    assert drifts(after) == []
    [accepted] = baselines(after)
    assert accepted.source == "accepted"
    assert accepted.signals["refused"].mean == pytest.approx(0.35, abs=0.03)


@pytest.mark.parametrize("further", [FURTHER, ACCEPTED + 4500])
def test_a_further_move_pages_within_seconds_before_and_after_the_new_normal_is_learned(further):
    run = Run(World(2, [(0, 0.01), (LEARNED, 0.35), (further, 0.95)], end=further + 1500))
    after = run.push(ACCEPTED, further + 1500)
    assert ("accepted" in [baseline.source for baseline in baselines(after)]) == (further > FURTHER)
    fired = drifts(after)
    assert {drift.signal for drift in fired} == {"refused"}
    assert any(drift.tier == "page" for drift in fired)
    for drift in fired:
        assert World.time(further) <= drift.detected_at <= World.time(further) + 30_000
        assert drift.normal == pytest.approx(0.35, abs=0.05)


def test_a_failure_after_the_acceptance_does_not_become_normal():
    levels = [(0, 0.01), (LEARNED, 0.35), (FURTHER, 0.95)]
    run = Run(World(3, levels, end=14_000))
    after = run.push(ACCEPTED, 14_000)
    assert baselines(after) == []
    assert drifts(after, "recovered") == []
    # Once the failure is over, its signal is learned from then on.
    world = World(3, [*levels, (14_000, 0.35)], end=19_000)
    later = run.step.step(world.messages[14_000:])
    ended = {drift.drift_id for drift in drifts(later, "recovered")}
    assert ended == {drift.drift_id for drift in drifts(after)}
    [accepted] = baselines(later)
    assert accepted.signals["refused"].learned_from >= World.time(14_000)
    assert accepted.signals["refused"].mean == pytest.approx(0.35, abs=0.03)


def test_a_return_to_the_level_before_is_no_drift_and_becomes_normal():
    run = Run(World(4, [(0, 0.01), (LEARNED, 0.35), (ACCEPTED, 0.01)], end=10_500))
    after = run.push(ACCEPTED, 10_500)
    assert drifts(after) == []
    assert baselines(after)[-1].signals["refused"].mean == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("factor", [3.0, 20.0])
def test_an_accepted_latency_is_normal_and_a_further_rise_pages(factor):
    run = Run(SlowWorld(5, [(0, 1.0), (LEARNED, factor), (FURTHER, 2.0 * factor)], end=END))
    assert {drift.signal for drift in drifts(run.before)} == {"latency_ms"}
    assert drifts(run.push(ACCEPTED, FURTHER)) == []
    fired = drifts(run.push(FURTHER, END))
    assert {drift.signal for drift in fired} == {"latency_ms"}
    assert any(drift.tier == "page" for drift in fired)
    assert all(drift.detected_at <= World.time(FURTHER) + 30_000 for drift in fired if drift.tier == "page")


def test_what_moved_between_the_report_and_the_acceptance_is_not_accepted():
    run = Run(World(6, [(0, 0.01), (LEARNED, 0.35), (ACCEPTED - 300, 0.95)]))
    fired = drifts(run.push(ACCEPTED, FURTHER))
    assert any(drift.tier == "page" for drift in fired)
    assert all(drift.normal < 0.5 for drift in fired)


def test_the_same_request_twice_has_one_effect():
    runs = [Run(World(7, [(0, 0.01), (LEARNED, 0.35)])) for _ in range(2)]
    assert runs[1].step.control(runs[1].request) == []
    first, second = (run.push(ACCEPTED, END) for run in runs)
    assert runs[1].step.control(runs[1].request) == []
    assert first == second
    assert full_state(runs[0].step) == full_state(runs[1].step)


@pytest.mark.parametrize("cut", [ACCEPTED, ACCEPTED + 700, FURTHER + 40, FURTHER + 600])
def test_a_restart_changes_nothing(cut):
    world = World(8, [(0, 0.01), (LEARNED, 0.35), (FURTHER, 0.95)])
    unbroken, run, checkpoint = Run(world), Run(world), Checkpoint()
    outputs = run.before + run.at_request
    checkpoint.take(run.step)
    expected = unbroken.push(ACCEPTED, cut) + unbroken.push(cut, END)
    between = run.push(ACCEPTED, cut)
    checkpoint.take(run.step)
    restored = DetectStep(0, SETTINGS, replay=True)
    for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
        restored.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
    restored.control(run.request)
    checkpoint.restored(restored, random.Random(0))
    assert between + restored.step(world.messages[cut:]) == expected
    assert full_state(restored) == full_state(unbroken.step)


def test_open_drifts_of_other_signals_stay_open_with_their_ids():
    class BothWorld(World):
        def build(self, rng: random.Random, number: int, level: Any) -> dict[str, Any]:
            refused, factor = level
            content = record(rng, number, self.time(number), refused=refused)
            content["infrastructure"]["latency_ms"] *= factor
            return content

    world = BothWorld(9, [(0, (0.01, 1.0)), (LEARNED, (0.35, 3.0)), (FURTHER, (0.35, 1.0))])
    step = DetectStep(0, SETTINGS, replay=True)
    before = drifts(step.step(world.messages[:ACCEPTED]))
    slow = {drift.drift_id for drift in before if drift.signal == "latency_ms"}
    assert slow
    ended = drifts(step.control(accept([one for one in before if one.signal == "refused"], ACCEPTED)), "recovered")
    assert {drift.signal for drift in ended} == {"refused"}
    after = step.step(world.messages[ACCEPTED : FURTHER + 1000])
    assert drifts(after) == []
    assert {drift.drift_id for drift in drifts(after, "recovered")} == slow


def test_an_accepted_level_of_a_tenant_is_held_for_that_tenant():
    accepted, further = 7000, 9000
    world = TenantWorld(10, [(0, 0.15), (LEARNED, 0.5), (further, 1.0)], end=further + 3000)
    settings = SETTINGS.model_copy(update={"relearn_after_s": 600})
    step, checkpoint = DetectStep(0, settings, replay=True), Checkpoint()
    outputs = step.step(world.messages[:accepted])
    before = [drift for drift in drifts(outputs) if drift.segment]
    assert {drift.segment for drift in before} == {"tenant=acme"}
    request = accept(drifts(outputs), accepted)
    outputs += step.control(request)
    between = step.step(world.messages[accepted:further])
    assert drifts(between) == []
    checkpoint.take(step)
    fired = step.step(world.messages[further:])
    [told] = [drift for drift in drifts(fired) if drift.segment]
    assert (told.segment, told.normal) == ("tenant=acme", pytest.approx(0.5, abs=0.1))
    assert told.detected_at <= World.time(further) + 120_000
    restored = DetectStep(0, settings, replay=True)
    for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
        restored.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
    restored.control(request)
    checkpoint.restored(restored, random.Random(0))
    assert restored.step(world.messages[further:]) == fired
    assert full_state(restored) == full_state(step)


def test_other_streams_of_the_partition_change_nothing():
    """A stream with an accepted level leaves the blocks of many streams, and returns to them."""
    other = [
        message(number, as_json(record(random.Random(number), number, at, subject="other")), at)
        for number in range(11_000)
        for at in (World.time(number),)
    ]
    world = World(11, [(0, 0.01), (LEARNED, 0.35), (10_000, 0.95)], end=11_000)
    alone = Run(world, replay=False)
    expected = alone.before + alone.at_request + alone.push(ACCEPTED, 11_000)
    mixed = DetectStep(0, SETTINGS, replay=False)
    both = [one for pair in zip(world.messages, other, strict=True) for one in pair]
    outputs = mixed.step(both[: 2 * ACCEPTED]) + mixed.control(alone.request) + mixed.step(both[2 * ACCEPTED :])

    def about_bot(found: list[OutputMessage]) -> list[OutputMessage]:
        return [output for output in found if b'"subject":"bot"' in (output.value or b"")]

    assert about_bot(outputs) == about_bot(expected)
    assert {drift.signal for drift in drifts(about_bot(outputs)) if drift.detected_at >= World.time(10_000)} == {
        "refused"
    }
