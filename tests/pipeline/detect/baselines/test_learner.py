from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.baselines.baseline import baseline_version
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import custom_signal
from tests.pipeline.detect.worlds import START_MS, block, blocks, learned, normal_world, with_signals

QUICK = DetectSettings(ready_after_s=600)


def test_it_is_ready_only_after_enough_time_and_records():
    learner = Learner("support-bot", QUICK)
    assert not learner.is_ready()
    readiness = []
    for part in blocks(normal_world(1, 32_000)):
        learner.observe(part)
        readiness.append(learner.is_ready())
    assert readiness.index(True) == 30_000 // 512
    slow = Learner("support-bot", QUICK)
    for part in blocks(normal_world(1, 1000), per_s=1.0, size=100):
        slow.observe(part)
    assert not slow.is_ready()


def test_a_baseline_describes_its_records():
    world = normal_world(2, 40_000)
    baseline = learned(world, QUICK)
    refused, latency = baseline.signals["refused"], baseline.signals["latency_ms"]
    assert refused.channels["rate"].mean == pytest.approx(world["refused"].mean())
    assert refused.channels["rate"].count == 40_000
    assert latency.mean == pytest.approx(world["latency_ms"].mean())
    assert latency.knots[256] == pytest.approx(np.median(world["latency_ms"]), rel=0.03)
    assert latency.channels["location"].mean == pytest.approx(0.5, abs=0.002)
    assert latency.channels["high_tail"].mean == pytest.approx(0.01, abs=0.003)
    assert latency.channels["location"].autocorrelation_time == 1.0
    assert baseline.signals["empty"].channels["rate"].mean == 0.0
    assert (baseline.learned_from, baseline.learned_to) == (START_MS, START_MS + 800_000)
    assert baseline.records == 40_000
    assert baseline.dropped_slices == []


def test_a_rate_is_ready_with_fewer_records_than_a_value():
    world = normal_world(3, 6000)
    world["confidence"][2000:] = np.nan
    world["error"][2000:] = np.nan
    world["refused"][500:] = np.nan
    names = set(learned(world, QUICK).signals)
    assert "error" in names
    assert not names & {"confidence", "refused"}


def test_a_signal_that_few_records_carry_is_learned_from_all_of_them():
    world = normal_world(4, 60_000)
    world["confidence"][np.arange(60_000) % 10 != 0] = np.nan
    confidence = learned(world, QUICK).signals["confidence"]
    assert confidence.count == 6000
    assert confidence.channels["location"].count == 6000


def test_a_failure_within_the_baseline_is_dropped_and_listed():
    world = normal_world(5, 48_000)
    world["latency_ms"][20_000:21_500] *= 20
    baseline = learned(world, QUICK)
    clean = learned(normal_world(5, 48_000), QUICK)
    assert baseline.dropped_slices
    width = baseline.dropped_slices[-1] - baseline.dropped_slices[0]
    assert all(START_MS + 384_000 <= start <= START_MS + 432_000 for start in baseline.dropped_slices), width
    median, expected = (learned_from.signals["latency_ms"].knots[500] for learned_from in (baseline, clean))
    assert median == pytest.approx(expected, rel=0.1)


def test_equal_records_give_equal_versions_and_different_records_do_not():
    world = normal_world(6, 8000)
    one, other = learned(world, QUICK, source="file"), learned(world, QUICK, source="live")
    assert one.baseline_version == other.baseline_version == baseline_version(one)
    world["refused"][:3] = 1 - world["refused"][:3]
    assert learned(world, QUICK).baseline_version != one.baseline_version


def test_any_span_is_covered_by_a_bounded_number_of_slices():
    learner = Learner("support-bot", QUICK)
    for part in blocks({"refused": np.zeros(20_000)}, per_s=0.1, size=64):
        learner.observe(part)
    assert QUICK.slices <= len(learner._totals) <= 2 * QUICK.slices
    assert len(learner._bursts) <= 8 * QUICK.slices


def test_a_widened_learner_equals_one_that_was_wide_from_the_start(monkeypatch):
    world = normal_world(7, 20_000)
    baseline = learned(world, QUICK)
    width = Learner("support-bot", QUICK)
    for part in blocks(world):
        width.observe(part)
    monkeypatch.setattr("pipeline.detect.baselines.learner.FIRST_WIDTH_MS", width._width_ms)
    assert width._width_ms > 1000
    assert learned(world, QUICK) == baseline


def test_columns_may_appear_later():
    world = normal_world(8, 12_000)
    learner = Learner("support-bot", QUICK)
    early = {name: world[name] for name in ("latency_ms", "refused")}
    for part in blocks({name: column[:5120] for name, column in early.items()}):
        learner.observe(part)
    order = ["latency_ms", "refused", *(name for name in world if name not in early)]
    for part in blocks({name: world[name][5120:] for name in order}, first_row=5120):
        learner.observe(part)
    baseline = learner.baseline("file")
    assert baseline.signals["confidence"].count == 12_000 - 5120
    assert baseline.signals["refused"].count == 12_000


def test_parts_restored_in_any_order_give_the_same_baseline():
    world = normal_world(9, 30_000)
    learner, dumped = Learner("support-bot", QUICK), {}
    parts = list(blocks(world))
    for index, part in enumerate(parts[:40]):
        learner.observe(part)
        if index % 3 == 0:
            dumped |= learner.dump_parts()
    dumped |= learner.dump_parts()
    restored = Learner("support-bot", QUICK)
    for name in sorted(dumped, reverse=True):
        restored.load_part(name, dumped[name])
    assert restored.is_ready() == learner.is_ready()
    assert restored.baseline("live") == learner.baseline("live")
    for part in parts[40:]:
        learner.observe(part)
        restored.observe(part)
    assert restored.baseline("live") == learner.baseline("live")


def test_a_finished_part_is_dumped_once():
    learner = Learner("support-bot", QUICK)
    for part in blocks(normal_world(10, 9000)):
        learner.observe(part)
    learner.dump_parts()
    assert learner.dump_parts() == {}
    learner.observe(block(normal_world(11, 20), first_row=9000))
    assert 2 <= len(learner.dump_parts()) <= 4


def test_records_without_signals_can_be_dumped_and_restored():
    bare = [replace(part, signals=(), values=part.values[:, :0]) for part in blocks(normal_world(7, 2000))]
    learner = Learner("support-bot", QUICK)
    for part in bare:
        learner.observe(part)
    learner.mark_all()
    restored = Learner("support-bot", QUICK)
    for name, state in learner.dump_parts().items():
        restored.load_part(name, state)
    for part in list(blocks(normal_world(7, 4000)))[4:]:
        learner.observe(part)
        restored.observe(part)
    assert restored.dump_parts().keys() == learner.dump_parts().keys()


def test_an_unknown_part_is_rejected():
    with pytest.raises(ValueError, match="no part 'nonsense'"):
        Learner("support-bot", QUICK).load_part("nonsense", {})


def test_state_with_a_signal_that_the_catalogue_lost_is_rejected():
    learner = Learner("support-bot", QUICK)
    learner.observe(block({"refused": np.zeros(10)}))
    head = learner.dump_parts()["head"] | {"signals": [["gone", "rate"]]}
    with pytest.raises(ValueError, match="no longer in the catalogue: gone"):
        Learner("support-bot", QUICK).load_part("head", head)


def test_nothing_seen_gives_no_baseline():
    with pytest.raises(ValueError, match="no records from which to learn"):
        Learner("support-bot", QUICK).baseline("file")


def test_categories_are_learned_as_shares_and_hashes_are_not():
    learner = Learner("support-bot", DetectSettings(categories_max=8))
    for row in range(0, 2000, 100):
        categories = {
            "finish_reason": ["stop"] * 90 + ["length"] * 10,
            "fingerprint": [f"{row + i}" for i in range(100)],
        }
        learner.observe(block({"refused": np.zeros(100)}, first_row=row, categories=categories))
    signals = learner.baseline("file").signals
    assert signals["finish_reason"].shares == {"length": 0.1, "stop": 0.9}
    assert "fingerprint" not in signals


def test_a_custom_signal_is_learned_by_its_name():
    learner = Learner("support-bot", QUICK)
    for part in blocks({"confidence": np.random.default_rng(1).random(6000)}):
        learner.observe(with_signals(part, [custom_signal("toxicity", "amount")]))
    assert set(learner.baseline("file").signals) == {"custom.toxicity"}
