import numpy as np
import pytest

from pipeline.detect.baselines.learner import Learner
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import custom_signal
from tests.pipeline.detect.worlds import BY_NAME, START_MS, blocks, learned, normal_world, with_signals

REPLAY = DetectSettings(ready_after_s=600)
BAD_FROM = 5000


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


def judged(judge, world, *, first_row=0, per_s=50.0, size=128):
    return [
        finding
        for part in blocks(world, per_s=per_s, size=size, first_row=first_row)
        for finding in judge.observe(part)
    ]


def world_with(seed, change, rows=12_000):
    world = normal_world(seed, rows)
    change(world, np.random.default_rng(seed + 500))
    return world


def fired(findings, tier=None):
    return [each for each in findings if each.state == "firing" and tier in (None, each.tier)]


def set_rate(name, rate):
    def change(world, random):
        world[name][BAD_FROM:] = random.random(world[name].size - BAD_FROM) < rate

    return change


def times(name, factor):
    def change(world, _):
        world[name][BAD_FROM:] *= factor

    return change


def constant(name, value):
    def change(world, _):
        world[name][BAD_FROM:] = value

    return change


@pytest.mark.parametrize("seed", range(2, 6))
def test_a_world_in_which_nothing_happens_is_silent(baseline, seed):
    assert judged(Monitor(baseline, REPLAY), normal_world(seed, 40_000), size=512) == []


@pytest.mark.parametrize(
    ("change", "signal", "channel", "side", "within"),
    [
        (set_rate("refused", 0.1), "refused", "rate", "up", 600),
        (set_rate("error", 0.05), "error", "rate", "up", 900),
        (constant("empty", 1.0), "empty", "rate", "up", 250),
        (times("latency_ms", 3), "latency_ms", "location", "up", 300),
        (times("length", 0.3), "length", "location", "down", 300),
        (times("confidence", 0.7), "confidence", "location", "down", 300),
        (constant("length", 900.0), "length", "dispersion", "down", 400),
    ],
    ids=["refused", "error", "empty", "latency", "length", "confidence", "constant"],
)
def test_a_failure_pages_soon_with_its_start_and_sizes(baseline, change, *, signal, channel, side, within):
    findings = judged(Monitor(baseline, REPLAY), world_with(7, change))
    pages = fired(findings, "page")
    assert {each.signal.name for each in fired(findings)} == {signal}
    first = next(each for each in pages if each.channel == channel)
    planted = START_MS + BAD_FROM * 20
    assert first.side == side
    assert planted <= first.detected_at <= planted + within * 20
    assert abs(first.started_at - planted) <= 2500
    assert first.updated_at == first.detected_at
    assert first.request_id == f"r-{(first.detected_at - START_MS) // 20}"
    assert first.evidence >= first.threshold
    assert first.records > 0
    assert len({(each.channel, each.side) for each in pages}) == len(pages)


def test_numbers_of_a_finding_are_in_the_signals_own_unit(baseline):
    (refused,) = fired(judged(Monitor(baseline, REPLAY), world_with(8, set_rate("refused", 0.1))), "page")
    assert refused.normal == pytest.approx(0.01, abs=0.002)
    assert refused.now == pytest.approx(0.1, abs=0.04)
    assert refused.effect_kind == "odds_ratio"
    assert refused.effect == pytest.approx(11, rel=0.5)
    latency = fired(judged(Monitor(baseline, REPLAY), world_with(8, times("latency_ms", 3))), "page")[0]
    assert latency.now / latency.normal == pytest.approx(3, rel=0.2)
    assert latency.effect_kind == "rank_shift"
    assert 0.2 < latency.effect < 0.5


@pytest.mark.parametrize(
    "change",
    [times("latency_ms", 0.3), set_rate("error", 0.0), times("confidence", 1.2), times("latency_ms", 1.05)],
    ids=["faster", "fewer errors", "surer", "within the tolerance"],
)
def test_what_improves_or_hardly_moves_never_pages(baseline, change):
    assert fired(judged(Monitor(baseline, REPLAY), world_with(9, change)), "page") == []


def test_slow_drift_of_a_value_becomes_a_ticket_before_a_page(baseline):
    world = normal_world(10, 100_000)
    world["confidence"] -= np.linspace(0, 0.09, 100_000)
    findings = fired(judged(Monitor(baseline, REPLAY), world, size=512))
    tickets = [each.detected_at for each in findings if each.tier == "ticket" and each.signal.name == "confidence"]
    pages = [each.detected_at for each in findings if each.tier == "page"]
    assert tickets
    assert not pages or min(tickets) < min(pages)


def test_adwin_tickets_where_the_walks_do_not_and_not_twice(baseline):
    judge = Monitor(baseline, REPLAY)
    judge._bank._fires[:] = 1e9
    judge._bank._turn()
    findings = judged(judge, world_with(11, times("confidence", 0.85), rows=60_000), size=512)
    (ticket,) = fired(findings)
    assert (ticket.detector, ticket.tier, ticket.signal.name, ticket.side) == ("adwin", "ticket", "confidence", "down")
    assert ticket.now < ticket.normal
    assert "ADWIN" in ticket.sentence


def test_evidence_is_sent_again_at_its_times_and_looks_at_what_is_new(baseline):
    world = world_with(12, set_rate("refused", 0.1), rows=60_000)
    world["refused"][BAD_FROM + 2500 :] = np.random.default_rng(1).random(60_000 - BAD_FROM - 2500) < 0.3
    pages = [each for each in judged(Monitor(baseline, REPLAY), world) if each.tier == "page"]
    assert [each.state for each in pages] == ["firing", "evidence", "evidence", "evidence"]
    assert [each.sequence for each in pages] == [0, 1, 2, 3]
    after = [(each.updated_at - pages[0].detected_at) / 1000 for each in pages[1:]]
    assert after == [pytest.approx(10, abs=4), pytest.approx(60, abs=4), pytest.approx(600, abs=4)]
    assert pages[3].now == pytest.approx(0.3, abs=0.02)
    assert len({(each.started_at, each.detected_at, each.request_id) for each in pages}) == 1
    assert pages[3].records == pytest.approx((pages[3].updated_at - pages[3].started_at) / 20, abs=130)


def test_it_says_once_that_a_signal_recovered_and_fires_again(baseline):
    world = world_with(13, set_rate("refused", 0.2), rows=60_000)
    world["refused"][8000:50_000] = np.random.default_rng(2).random(42_000) < 0.01
    pages = [each for each in judged(Monitor(baseline, REPLAY), world) if each.tier == "page"]
    states = [each.state for each in pages if each.state != "evidence"]
    assert states == ["firing", "recovered", "firing"]
    recovered = next(each for each in pages if each.state == "recovered")
    assert recovered.detected_at == pages[0].detected_at
    assert recovered.now < 0.02
    assert recovered.threshold == REPLAY.recovery_evidence <= recovered.evidence
    assert "came back" in recovered.sentence


@pytest.mark.parametrize(
    ("signal", "change"),
    [("refused", set_rate("refused", 0.2)), ("empty", constant("empty", 1.0)), ("latency_ms", times("latency_ms", 3))],
)
def test_after_a_recovery_nothing_is_said_of_what_is_over(baseline, signal, change):
    world, healthy = world_with(22, change, rows=60_000), normal_world(22, 60_000)
    for name in world:
        world[name][8000:] = healthy[name][8000:]
    findings = [each for each in judged(Monitor(baseline, REPLAY), world) if each.state != "evidence"]
    assert {each.signal.name for each in findings} == {signal}
    assert all(each.detected_at < START_MS + 8000 * 20 for each in findings)
    assert all(START_MS + 8000 * 20 < each.updated_at < START_MS + 11_000 * 20 for each in findings if each.sequence)
    assert len(findings) == 2 * len([each for each in findings if each.state == "recovered"])


def test_a_burst_of_one_second_does_not_fire(baseline):
    judge = Monitor(baseline, REPLAY)
    world = normal_world(14, 12_000)
    world["error"][5000:5400] = 1.0
    assert judged(judge, world, per_s=400.0, size=512) == []


def test_state_put_down_and_taken_up_anywhere_changes_nothing(baseline):
    world = world_with(15, set_rate("refused", 0.1))
    parts = list(blocks(world, size=128))
    whole = Monitor(baseline, REPLAY)
    expected = [finding for part in parts for finding in whole.observe(part)]
    assert expected
    for cut in (10, 41, 44, 60):
        first, second = Monitor(baseline, REPLAY), Monitor(baseline, REPLAY)
        found = [finding for part in parts[:cut] for finding in first.observe(part)]
        second.load(first.dump())
        found += [finding for part in parts[cut:] for finding in second.observe(part)]
        assert found == expected
        assert second.judged_values == whole.judged_values
        for name, kept in whole.dump()["bank"].items():
            np.testing.assert_array_equal(second.dump()["bank"][name], kept)
        assert second.dump()["means"]["windows"] == whole.dump()["means"]["windows"]
        assert second.dump()["latches"] == whole.dump()["latches"]


def test_state_of_another_baseline_is_refused(baseline):
    other = learned(normal_world(2, 20_000), REPLAY)
    with pytest.raises(ValueError, match="its walks start anew"):
        Monitor(other, REPLAY).load(Monitor(baseline, REPLAY).dump())


def test_restart_keeps_what_is_latched(baseline):
    judge = Monitor(baseline, REPLAY)
    world = world_with(16, set_rate("refused", 0.1))
    found = fired(judged(judge, {name: column[:7000] for name, column in world.items()}))
    judge.reset_evidence()
    again = judged(judge, {name: column[7000:] for name, column in world.items()}, first_row=7000)
    assert found
    assert fired(again) == []


def test_a_signal_that_the_baseline_does_not_know_is_seen_and_not_judged(baseline):
    judge = Monitor(baseline, REPLAY)
    world = normal_world(17, 1000)
    world["thumbs_down"] = np.ones(1000)
    assert judged(judge, world) == []
    assert (judge.seen_values, judge.judged_values) == (7000, 6000)


def test_missing_and_infinite_values_do_not_blind_it(baseline):
    random = np.random.default_rng(3)
    world = world_with(18, times("latency_ms", 4))
    world["latency_ms"][random.random(12_000) < 0.5] = np.nan
    world["latency_ms"][random.random(12_000) < 0.05] = np.inf
    world["confidence"][:] = np.nan
    judge = Monitor(baseline, REPLAY)
    assert {each.signal.name for each in fired(judged(judge, world), "page")} == {"latency_ms"}
    assert judge.seen_values == np.isfinite(np.column_stack(list(world.values()))).sum()


def test_columns_may_appear_later_and_in_any_order(baseline):
    judge = Monitor(baseline, REPLAY)
    early = normal_world(19, 2000)
    judged(judge, {"refused": early["refused"]})
    late = world_with(19, constant("empty", 1.0))
    order = ["refused", *sorted(set(late) - {"refused"})]
    findings = judged(judge, {name: late[name] for name in order}, first_row=2000)
    assert {each.signal.name for each in fired(findings)} == {"empty"}


def test_a_custom_signal_tickets_either_way_and_never_pages():
    signal = custom_signal("toxicity", "amount")
    random = np.random.default_rng(4)
    learner = Learner("support-bot", REPLAY)
    for part in blocks({"confidence": random.random(40_000)}):
        learner.observe(with_signals(part, [signal]))
    for low, high in ((0.4, 1.4), (-0.4, 0.6)):
        judge = Monitor(learner.baseline("file"), REPLAY)
        found = [
            finding
            for part in blocks({"confidence": random.uniform(low, high, 4000)})
            for finding in judge.observe(with_signals(part, [signal]))
        ]
        assert {each.tier for each in fired(found)} == {"ticket"}


def test_a_baseline_without_signals_judges_nothing_and_keeps_state(baseline):
    judge = Monitor(baseline.model_copy(update={"signals": {}}), REPLAY)
    assert judged(judge, normal_world(20, 500)) == []
    assert (judge.seen_values, judge.judged_values) == (3000, 0)
    judge.load(judge.dump())
    judge.reset_evidence()


def test_causes_are_found_but_only_as_causes():
    random = np.random.default_rng(5)
    settings = REPLAY
    baseline = learned({"input_tokens": random.lognormal(6, 1, 40_000)}, settings)
    findings = judged(Monitor(baseline, settings), {"input_tokens": random.lognormal(7.5, 1, 4000)})
    assert BY_NAME["input_tokens"].role == "cause"
    assert {each.tier for each in fired(findings)} == {"cause"}
