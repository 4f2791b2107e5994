"""A change of the distribution that hardly moves its mean is a ticket, and nothing else is.

Seeds below 100 were used while the tests of shapes were designed. The seeds here were not.
"""

from functools import cache

import numpy as np
import orjson
import pytest

from pipeline.codec import encode
from pipeline.detect.baselines import baseline_version
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape.shape_tests import IMPLAUSIBLE_SHARE, derive_shape_tests
from pipeline.detect.signals.block import PANE_MS, Block
from pipeline.detect.stream.learned_baseline import continue_monitor
from schemas.baseline import Baseline
from tests.pipeline.detect.worlds import BY_NAME, START_MS

SETTINGS = DetectSettings()
DAY_S, HOUR_S = 86_400, 3600
EVERY_S = 0.5
SEEDS = (101, 102, 103)
NAMES = ("latency_ms", "length", "confidence", "steps", "index_age_s", "error")


def columns(seed, from_s, until_s):
    """An assistant whose cache answers 18 % of the requests in 8 ms, with a daily cycle of the latency."""
    times_s = np.arange(from_s, until_s, EVERY_S)
    random = np.random.default_rng((seed, int(from_s)))
    rows = times_s.size
    level = 2500 * np.exp(0.2 * np.sin(2 * np.pi * times_s / DAY_S))
    is_cached = random.random(rows) < 0.18
    return times_s, {
        "latency_ms": np.where(
            is_cached, random.lognormal(np.log(8), 0.3, rows), level * random.lognormal(0, 0.5, rows)
        ),
        "length": random.lognormal(6, 0.6, rows).round(),
        "confidence": random.normal(0.7, 0.08, rows).clip(0, 1),
        "steps": 1.0 + random.poisson(0.6, rows),
        "index_age_s": times_s % HOUR_S,
        "error": (random.random(rows) < 0.01).astype(float),
    }


def cut_blocks(times_s, values, size=512):
    times_ms = (START_MS + times_s * 1000).astype(np.int64)
    table = np.column_stack([values[name] for name in NAMES])
    for begin in range(0, times_s.size, size):
        rows = slice(begin, begin + size)
        count = times_ms[rows].size
        yield Block(
            signals=[BY_NAME[name] for name in NAMES],
            values=table[rows],
            panes=times_ms[rows] // PANE_MS,
            times_ms=times_ms[rows],
            request_ids=[f"r-{row}" for row in range(begin, begin + count)],
            categories={},
            first=np.ones(count, dtype=bool),
        )


@cache
def learn(seed):
    """The baseline of the first day."""
    learner = Learner("assistant", SETTINGS)
    for part in cut_blocks(*columns(seed, 0, DAY_S)):
        learner.observe(part)
    return learner.baseline("live")


@pytest.fixture(scope="module")
def baseline():
    return learn(SEEDS[0])


def play(baseline, seed, change, *, hours=1.0, after_s=600, size=8, days=1, restart_every=0):
    """The findings of a stream whose values change ``after_s`` after the end of its baseline."""
    begin_s = days * DAY_S
    times_s, values = columns(seed, begin_s, begin_s + hours * HOUR_S)
    change(values, times_s >= begin_s + after_s, np.random.default_rng((seed, 1)))
    monitor, findings = Monitor(baseline, SETTINGS), []
    for number, part in enumerate(cut_blocks(times_s, values, size)):
        findings += monitor.observe(part)
        if restart_every and number % restart_every == 0:
            state = monitor.dump()
            monitor = Monitor(baseline, SETTINGS)
            monitor.load(state)
    return findings


def minutes_after(finding, after_s=600, days=1):
    return (finding.detected_at - START_MS) / 60_000 - days * 24 * 60 - after_s / 60


def cache_off(values, after, random):
    slow = random.lognormal(np.log(2500), 0.5, after.size)
    values["latency_ms"] = np.where(after & (values["latency_ms"] < 40), slow, values["latency_ms"])


def pile_up(values, after, random):
    values["length"] = np.where(after & (random.random(after.size) < 0.25), 400.0, values["length"])


def cut_tail(values, after, _):
    values["length"] = np.where(after, np.minimum(values["length"], 735.0), values["length"])


def second_mode(values, after, random):
    values["steps"] = np.where(after & (random.random(after.size) < 0.3), 2.0, values["steps"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cache_that_is_off_is_a_ticket_within_ten_minutes(seed):
    findings = play(learn(seed), seed, cache_off)
    [first, *_] = findings
    assert {finding.tier for finding in findings} == {"ticket"}
    assert (first.signal.name, first.channel, first.side, first.state) == ("latency_ms", "shape", "up", "firing")
    assert 4 <= minutes_after(first) <= 10
    assert abs((first.started_at - START_MS) / 1000 - DAY_S - 600) <= 180
    assert first.now < 0.01
    assert first.normal == pytest.approx(0.1, abs=0.01)
    assert first.values_from is None
    assert 7 < first.values_to < 12
    assert first.effect < 0.1
    assert first.effect_kind == "odds_ratio"
    assert first.sentence.startswith("latency_ms changed its shape: latency_ms under ")
    assert " ms in 0 % of records, normally 10.0 %" in first.sentence


@pytest.mark.parametrize(
    ("change", "signal", "side"),
    [(pile_up, "length", "down"), (cut_tail, "length", "down"), (second_mode, "steps", "up")],
)
def test_other_changes_of_shape_are_tickets_within_ten_minutes(baseline, change, signal, side):
    found = [
        finding
        for finding in play(baseline, SEEDS[0], change)
        if finding.state == "firing" and finding.channel == "shape"
    ]
    assert [(finding.signal.name, finding.side) for finding in found] == [(signal, side)]
    assert minutes_after(found[0]) <= 10


def test_it_recovers_when_the_shape_is_back(baseline):
    def outage(values, after, random):
        after[-int(HOUR_S / EVERY_S) :] = False
        cache_off(values, after, random)

    findings = play(baseline, SEEDS[0], outage, hours=2.5)
    assert {finding.channel for finding in findings} == {"shape"}
    assert [finding.state for finding in findings] == ["firing", "evidence", "evidence", "evidence", "recovered"]
    assert [finding.sequence for finding in findings] == [0, 1, 2, 3, 4]
    recovered = findings[-1]
    back_ms = START_MS + (DAY_S + 1.5 * HOUR_S) * 1000
    assert 0 < recovered.updated_at - back_ms < 20 * 60_000
    assert recovered.now == pytest.approx(recovered.normal, abs=0.05)
    assert recovered.sentence.startswith("the shape of latency_ms returned to normal after ")
    assert len({finding.detected_at for finding in findings}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_days_have_no_change_of_shape(seed):
    assert play(learn(seed), seed, lambda *_: None, hours=48, size=512) == []


def test_a_move_of_the_mean_is_told_by_the_mean_alone(baseline):
    def slower(values, after, _):
        values["latency_ms"] = np.where(after, 4 * values["latency_ms"], values["latency_ms"])

    findings = play(baseline, SEEDS[0], slower)
    assert findings
    assert "shape" not in {finding.channel for finding in findings}


@pytest.mark.parametrize("factor", [0.5, 0.8, 0.95])
def test_an_improvement_is_no_change_of_shape(baseline, factor):
    def faster(values, after, _):
        values["latency_ms"] = np.where(after, factor * values["latency_ms"], values["latency_ms"])

    assert play(baseline, SEEDS[0], faster, hours=3) == []


@pytest.mark.parametrize("by", [0.08, 0.16])
def test_an_improvement_that_empties_the_middle_bins_is_no_change_of_shape(baseline, by):
    def surer(values, after, _):
        values["confidence"] = np.where(after, np.minimum(values["confidence"] + by, 0.99), values["confidence"])

    assert play(baseline, SEEDS[0], surer, hours=3) == []


def test_another_unit_is_no_improvement(baseline):
    def in_seconds(values, after, _):
        values["latency_ms"] = np.where(after, values["latency_ms"] / 1000, values["latency_ms"])

    [first, *rest] = play(baseline, SEEDS[0], in_seconds)
    assert (first.signal.name, first.channel, first.tier, first.side) == ("latency_ms", "shape", "ticket", "down")
    assert minutes_after(first) <= 6
    assert "latency_ms under " in first.sentence
    assert {finding.state for finding in rest} == {"evidence"}


def test_a_burst_of_a_minute_is_no_change_of_shape(baseline):
    def burst(values, after, random):
        begin = int(np.argmax(after))
        after[begin + int(120 / EVERY_S) :] = False
        cache_off(values, after, random)

    assert play(baseline, SEEDS[0], burst) == []


@pytest.mark.parametrize("restart_every", [1, 7])
def test_a_restart_changes_nothing(baseline, restart_every):
    expected = play(baseline, SEEDS[0], cache_off, hours=0.6)
    assert expected
    assert play(baseline, SEEDS[0], cache_off, hours=0.6, restart_every=restart_every) == expected


def test_state_survives_the_codec(baseline):
    times_s, values = columns(SEEDS[0], DAY_S, DAY_S + 1800)
    cache_off(values, times_s >= DAY_S + 60, np.random.default_rng(1))
    monitor = Monitor(baseline, SETTINGS)
    for part in cut_blocks(times_s, values):
        monitor.observe(part)
    state = monitor.dump()
    assert [name for name, _ in state["monitor"]["shapes"]] == ["latency_ms"]
    other = Monitor(baseline, SETTINGS)
    other.load(state)
    for kind in ("evidence", "monitor"):
        assert encode(other.dump()[kind], kind=kind) == encode(state[kind], kind=kind)


def test_another_baseline_ends_it(baseline):
    times_s, values = columns(SEEDS[0], DAY_S, DAY_S + 1800)
    cache_off(values, times_s >= DAY_S + 60, np.random.default_rng(1))
    monitor = Monitor(baseline, SETTINGS)
    fired = [finding for part in cut_blocks(times_s, values) for finding in monitor.observe(part)]
    assert not monitor.is_idle
    assert monitor.open_alerts
    [ended] = monitor.close_drifts(START_MS + (DAY_S + 1800) * 1000)
    assert ended.sentence == "latency_ms has ended: a new baseline is in use"
    assert (ended.state, ended.sequence, ended.detected_at) == ("recovered", len(fired), fired[0].detected_at)
    assert monitor.is_idle


def test_a_drift_without_its_test_ends_with_the_next_block(baseline):
    times_s, values = columns(SEEDS[0], DAY_S, DAY_S + 1800)
    cache_off(values, times_s >= DAY_S + 60, np.random.default_rng(1))
    parts = list(cut_blocks(times_s, values))
    monitor = Monitor(baseline, SETTINGS)
    for part in parts[:-1]:
        monitor.observe(part)
    sampled = Monitor(baseline, SETTINGS, is_sampled=True)
    sampled.load({"monitor": monitor.dump()["monitor"]})
    [ended] = [finding for finding in sampled.observe(parts[-1]) if finding.channel == "shape"]
    assert ended.state == "recovered"
    assert ended.sentence.startswith("latency_ms has ended: ")
    assert sampled.is_idle


def test_which_signals_have_a_shape_is_decided_by_what_they_mean(baseline):

    def tested(**options):
        values = [BY_NAME[name] for name in ("latency_ms", "length", "confidence", "steps", "index_age_s")]
        tests = derive_shape_tests(baseline, values, SETTINGS, **{"is_sampled": False} | options)
        return {values[test.value].name for test in tests}

    assert tested() == {"latency_ms", "length", "confidence", "steps"}
    assert tested(is_sampled=True) == set()


def test_only_bad_directions_are_tested_unless_both_are_bad(baseline):
    values = [BY_NAME[name] for name in ("latency_ms", "length", "confidence")]
    tests = derive_shape_tests(baseline, values, SETTINGS, is_sampled=False)
    usual = [test for test in tests if test.test.null_boundary != IMPLAUSIBLE_SHARE]
    sides = {name: {test.side for test in usual if values[test.value].name == name} for name in NAMES[:3]}
    assert sides == {"latency_ms": {"up"}, "length": {"up", "down"}, "confidence": {"down"}}
    best = [(values[test.value].name, test.bin, test.test.rising) for test in tests if test not in usual]
    assert best == [("latency_ms", 0, True), ("confidence", 7, True)]
    for test in tests:
        share = test.test
        assert (share.null_boundary > share.mean) == share.rising


def test_a_baseline_of_an_earlier_version_has_no_tests_and_keeps_its_version(baseline):
    content = orjson.loads(baseline.to_json())
    for signal in content["signals"].values():
        signal.pop("shape", None)
    old = Baseline.from_json(orjson.dumps(content))
    version = baseline_version(old)
    assert version != baseline.baseline_version
    null = {name: signal | {"shape": None} for name, signal in content["signals"].items()}
    assert baseline_version(Baseline.from_json(orjson.dumps(content | {"signals": null}))) == version
    assert play(old, SEEDS[0], cache_off) == []


def test_evidence_lives_on_over_a_renewal(baseline):
    """The renewal is in the middle of the failure, before it is found. The failure is found at the same time."""
    seed = SEEDS[0]
    times_s, values = columns(seed, DAY_S, DAY_S + HOUR_S)
    cache_off(values, times_s >= DAY_S + 600, np.random.default_rng((seed, 1)))
    renewed = baseline.model_copy(update={"source": "renewed", "records": baseline.records + 1})
    renewed = renewed.model_copy(update={"baseline_version": baseline_version(renewed)})
    monitor, found = Monitor(baseline, SETTINGS), []
    for part in cut_blocks(times_s, values, 8):
        findings = monitor.observe(part)
        found += findings
        if part.times_ms[0] == START_MS + (DAY_S + 780) * 1000:
            before = monitor.shapes.dump_evidence()["statistics"]
            assert before.max() > 3
            monitor = continue_monitor(monitor, renewed, SETTINGS, pane=int(part.panes[-1]))
            np.testing.assert_array_equal(monitor.shapes.dump_evidence()["statistics"], before)
    [first, *_] = found
    assert first.channel == "shape"
    assert minutes_after(first) <= 10
