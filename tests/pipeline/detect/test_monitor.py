import numpy as np
import pytest

from pipeline.codec import encode
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


def observe_world(monitor, world, *, first_row=0, per_s=50.0, size=128):
    return [
        finding
        for part in blocks(world, per_s=per_s, size=size, first_row=first_row)
        for finding in monitor.observe(part)
    ]


def world_with(seed, change, rows=12_000):
    world = normal_world(seed, rows)
    change(world, np.random.default_rng(seed + 500))
    return world


def fired(findings, tier=None):
    return [finding for finding in findings if finding.state == "firing" and tier in (None, finding.tier)]


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
def test_a_normal_world_is_silent(baseline, seed):
    assert observe_world(Monitor(baseline, REPLAY), normal_world(seed, 40_000), size=512) == []


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
def test_a_failure_pages_soon_with_its_start_and_size(baseline, change, *, signal, channel, side, within):
    findings = observe_world(Monitor(baseline, REPLAY), world_with(7, change))
    pages = fired(findings, "page")
    assert {finding.signal.name for finding in fired(findings)} == {signal}
    first = next(finding for finding in pages if finding.channel == channel)
    failed_at = START_MS + BAD_FROM * 20
    assert first.side == side
    assert failed_at <= first.detected_at <= failed_at + within * 20
    assert abs(first.started_at - failed_at) <= 2500
    assert first.updated_at == first.detected_at
    assert first.request_id == f"r-{(first.detected_at - START_MS) // 20}"
    assert first.evidence >= first.threshold
    assert first.records > 0
    assert len({(finding.channel, finding.side) for finding in pages}) == len(pages)


def test_the_numbers_of_a_finding_are_in_the_signals_unit(baseline):
    (refused,) = fired(observe_world(Monitor(baseline, REPLAY), world_with(8, set_rate("refused", 0.1))), "page")
    assert refused.normal == pytest.approx(0.01, abs=0.002)
    assert refused.now == pytest.approx(0.1, abs=0.04)
    assert refused.effect_kind == "odds_ratio"
    assert refused.effect == pytest.approx(11, rel=0.5)
    latency = fired(observe_world(Monitor(baseline, REPLAY), world_with(8, times("latency_ms", 3))), "page")[0]
    assert latency.now / latency.normal == pytest.approx(3, rel=0.2)
    assert latency.effect_kind == "rank_shift"
    assert 0.2 < latency.effect < 0.5


@pytest.mark.parametrize(
    "change",
    [times("latency_ms", 0.3), set_rate("error", 0.0), times("confidence", 1.2), times("latency_ms", 1.05)],
    ids=["faster", "fewer errors", "more confident", "within the tolerance"],
)
def test_an_improvement_or_small_change_never_pages(baseline, change):
    assert fired(observe_world(Monitor(baseline, REPLAY), world_with(9, change)), "page") == []


def test_slow_drift_of_a_value_makes_a_ticket_before_a_page(baseline):
    world = normal_world(10, 100_000)
    world["confidence"] -= np.linspace(0, 0.09, 100_000)
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, size=512))
    tickets = [
        finding.detected_at for finding in findings if finding.tier == "ticket" and finding.signal.name == "confidence"
    ]
    pages = [finding.detected_at for finding in findings if finding.tier == "page"]
    assert tickets
    assert not pages or min(tickets) < min(pages)


def test_adwin_makes_one_ticket_where_the_bank_makes_none(baseline):
    monitor = Monitor(baseline, REPLAY)
    monitor.bank._firing_thresholds = np.full_like(monitor.bank._firing_thresholds, 1e9)
    monitor.bank._update_bets()
    findings = observe_world(monitor, world_with(11, times("confidence", 0.85), rows=60_000), size=512)
    (ticket,) = fired(findings)
    assert (ticket.detector, ticket.tier, ticket.signal.name, ticket.side) == ("adwin", "ticket", "confidence", "down")
    assert ticket.now < ticket.normal
    assert "ADWIN" in ticket.sentence


def test_evidence_is_repeated_at_its_times_with_the_new_records(baseline):
    world = world_with(12, set_rate("refused", 0.1), rows=60_000)
    world["refused"][BAD_FROM + 2500 :] = np.random.default_rng(1).random(60_000 - BAD_FROM - 2500) < 0.3
    pages = [finding for finding in observe_world(Monitor(baseline, REPLAY), world) if finding.tier == "page"]
    assert [finding.state for finding in pages] == ["firing", "evidence", "evidence", "evidence"]
    assert [finding.sequence for finding in pages] == [0, 1, 2, 3]
    after = [(finding.updated_at - pages[0].detected_at) / 1000 for finding in pages[1:]]
    assert after == [pytest.approx(10, abs=4), pytest.approx(60, abs=4), pytest.approx(600, abs=4)]
    assert pages[3].now == pytest.approx(0.3, abs=0.02)
    assert len({(finding.started_at, finding.detected_at, finding.request_id) for finding in pages}) == 1
    assert pages[3].records == pytest.approx((pages[3].updated_at - pages[3].started_at) / 20, abs=130)


def test_a_signal_recovers_once_and_fires_again(baseline):
    world = world_with(13, set_rate("refused", 0.2), rows=60_000)
    world["refused"][8000:50_000] = np.random.default_rng(2).random(42_000) < 0.01
    pages = [finding for finding in observe_world(Monitor(baseline, REPLAY), world) if finding.tier == "page"]
    states = [finding.state for finding in pages if finding.state != "evidence"]
    assert states == ["firing", "recovered", "firing"]
    recovered = next(finding for finding in pages if finding.state == "recovered")
    assert recovered.detected_at == pages[0].detected_at
    assert recovered.now < 0.02
    assert recovered.threshold == REPLAY.recovery_evidence <= recovered.evidence
    assert "returned to" in recovered.sentence


@pytest.mark.parametrize(
    ("signal", "change"),
    [("refused", set_rate("refused", 0.2)), ("empty", constant("empty", 1.0)), ("latency_ms", times("latency_ms", 3))],
)
def test_after_a_recovery_no_test_fires_for_the_past_failure(baseline, signal, change):
    world, healthy = world_with(22, change, rows=60_000), normal_world(22, 60_000)
    for name in world:
        world[name][8000:] = healthy[name][8000:]
    findings = [finding for finding in observe_world(Monitor(baseline, REPLAY), world) if finding.state != "evidence"]
    assert {finding.signal.name for finding in findings} == {signal}
    assert all(finding.detected_at < START_MS + 8000 * 20 for finding in findings)
    assert all(
        START_MS + 8000 * 20 < finding.updated_at < START_MS + 11_000 * 20 for finding in findings if finding.sequence
    )
    assert len(findings) == 2 * len([finding for finding in findings if finding.state == "recovered"])


def test_a_burst_of_one_second_does_not_fire(baseline):
    monitor = Monitor(baseline, REPLAY)
    world = normal_world(14, 12_000)
    world["error"][5000:5400] = 1.0
    assert observe_world(monitor, world, per_s=400.0, size=512) == []


def test_a_state_restored_anywhere_changes_nothing(baseline):
    world = world_with(15, set_rate("refused", 0.1))
    parts = list(blocks(world, size=128))
    uninterrupted = Monitor(baseline, REPLAY)
    expected = [finding for part in parts for finding in uninterrupted.observe(part)]
    assert expected
    for cut in (10, 41, 44, 60):
        first, second = Monitor(baseline, REPLAY), Monitor(baseline, REPLAY)
        findings = [finding for part in parts[:cut] for finding in first.observe(part)]
        second.load(first.dump())
        findings += [finding for part in parts[cut:] for finding in second.observe(part)]
        assert findings == expected
        assert second.monitored_values == uninterrupted.monitored_values
        assert encode(second.dump(), kind="monitor") == encode(uninterrupted.dump(), kind="monitor")


def test_state_of_another_baseline_is_rejected(baseline):
    other = learned(normal_world(2, 20_000), REPLAY)
    with pytest.raises(ValueError, match="does not fit baseline"):
        Monitor(other, REPLAY).load(Monitor(baseline, REPLAY).dump())


def test_a_reset_keeps_latches(baseline):
    monitor = Monitor(baseline, REPLAY)
    world = world_with(16, set_rate("refused", 0.1))
    findings = fired(observe_world(monitor, {name: column[:7000] for name, column in world.items()}))
    monitor.reset_evidence()
    again = observe_world(monitor, {name: column[7000:] for name, column in world.items()}, first_row=7000)
    assert findings
    assert fired(again) == []


def test_a_signal_that_the_baseline_lacks_is_counted_and_not_monitored(baseline):
    monitor = Monitor(baseline, REPLAY)
    world = normal_world(17, 1000)
    world["thumbs_down"] = np.ones(1000)
    assert observe_world(monitor, world) == []
    assert (monitor.finite_values, monitor.monitored_values) == (7000, 6000)


def test_missing_and_infinite_values_do_not_prevent_detection(baseline):
    random = np.random.default_rng(3)
    world = world_with(18, times("latency_ms", 4))
    world["latency_ms"][random.random(12_000) < 0.5] = np.nan
    world["latency_ms"][random.random(12_000) < 0.05] = np.inf
    world["confidence"][:] = np.nan
    monitor = Monitor(baseline, REPLAY)
    assert {finding.signal.name for finding in fired(observe_world(monitor, world), "page")} == {"latency_ms"}
    assert monitor.finite_values == np.isfinite(np.column_stack(list(world.values()))).sum()


def test_columns_may_appear_later_and_in_any_order(baseline):
    monitor = Monitor(baseline, REPLAY)
    early = normal_world(19, 2000)
    observe_world(monitor, {"refused": early["refused"]})
    late = world_with(19, constant("empty", 1.0))
    order = ["refused", *sorted(set(late) - {"refused"})]
    findings = observe_world(monitor, {name: late[name] for name in order}, first_row=2000)
    assert {finding.signal.name for finding in fired(findings)} == {"empty"}


def test_a_custom_signal_makes_tickets_in_both_directions_and_never_pages():
    signal = custom_signal("toxicity", "amount")
    random = np.random.default_rng(4)
    learner = Learner("support-bot", REPLAY)
    for part in blocks({"confidence": random.random(40_000)}):
        learner.observe(with_signals(part, [signal]))
    for low, high in ((0.4, 1.4), (-0.4, 0.6)):
        monitor = Monitor(learner.baseline("file"), REPLAY)
        findings = [
            finding
            for part in blocks({"confidence": random.uniform(low, high, 4000)})
            for finding in monitor.observe(with_signals(part, [signal]))
        ]
        assert {finding.tier for finding in fired(findings)} == {"ticket"}


def test_a_baseline_without_signals_monitors_nothing_and_can_be_restored(baseline):
    monitor = Monitor(baseline.model_copy(update={"signals": {}}), REPLAY)
    assert observe_world(monitor, normal_world(20, 500)) == []
    assert (monitor.finite_values, monitor.monitored_values) == (3000, 0)
    monitor.load(monitor.dump())
    monitor.reset_evidence()


def test_a_cause_signal_fires_at_the_cause_tier_only():
    random = np.random.default_rng(5)
    settings = REPLAY
    baseline = learned({"input_tokens": random.lognormal(6, 1, 40_000)}, settings)
    findings = observe_world(Monitor(baseline, settings), {"input_tokens": random.lognormal(7.5, 1, 4000)})
    assert BY_NAME["input_tokens"].role == "cause"
    assert {finding.tier for finding in fired(findings)} == {"cause"}


@pytest.mark.parametrize(
    ("factor", "days_later", "alerts"),
    [(1.6, 0, True), (1.6, 4, False), (6.0, 4, True)],
    ids=["Tuesday", "Saturday", "large"],
)
def test_on_a_kind_of_day_that_the_baseline_does_not_contain_only_a_large_change_of_a_value_alerts(
    baseline, factor, days_later, alerts
):
    day_ms = 86_400_000
    monday = baseline.model_copy(update={"learned_from": START_MS - day_ms, "learned_to": START_MS})
    monitor = Monitor(monday, DetectSettings())
    world = world_with(4, times("latency_ms", factor))
    found = [
        finding
        for part in blocks(world, start_ms=START_MS + days_later * day_ms)
        for finding in monitor.observe(part)
        if finding.state == "firing" and finding.channel == "location"
    ]
    assert ("page" in {finding.tier for finding in found}) is bool(found) is alerts
