"""All signals, statistics and detectors are discovered, including new ones, and must pass the same checks."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pytest

import pipeline.detect
from pipeline.codec import decode, encode
from pipeline.detect.admission.admission import Admission
from pipeline.detect.baselines.field_presence import FieldPresence
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.blocks import SignalColumns
from pipeline.detect.detectors.adwin import AdwinBank, AdwinChannel, TicketBoundary
from pipeline.detect.detectors.cusum import Crossing
from pipeline.detect.detectors.page_hinkley import PageHinkleyBank
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.recent_values import RecentValues
from pipeline.detect.findings.series import MinuteSeries
from pipeline.detect.fixed_limits import FixedLimits
from pipeline.detect.known_days import KnownDays
from pipeline.detect.layout.grid_layout import GridLayout
from pipeline.detect.losses.dead_letter_monitor import DeadLetterMonitor
from pipeline.detect.losses.request_loss import RequestLoss
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.segments.segment_bank import SegmentBank
from pipeline.detect.segments.segment_sums import group_rows, sum_groups
from pipeline.detect.segments.segments import Segments
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import SignalRule, ValueLimit
from pipeline.detect.signals.catalogue import SIGNALS, Signal
from pipeline.detect.statistics.statistics import Statistics
from pipeline.step import RawMessage
from schemas.baseline import Baseline, Traffic
from schemas.topics import RECORDS
from tests.pipeline.detect.traffic.minutes import SILENCE_AFTER_S, minute_requests, request_loss
from tests.pipeline.detect.worlds import START_MS, blocks, learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
ROWS = 6000


def healthy(signal: Signal, random: np.random.Generator, rows: int) -> np.ndarray:
    """Normal values of a signal of any kind, within its bounds, that can move in both directions."""
    if signal.kind == "rate":
        mean = {"up": 0.02, "down": 0.98, "both": 0.2}[signal.direction]
        return (random.random(rows) < mean).astype(float)
    if signal.kind == "ratio":
        return np.clip(random.beta(8, 8, rows), signal.low, signal.high)
    return random.lognormal(5.0, 0.5, rows)


def changed_values(signal: Signal, direction: str, random: np.random.Generator, rows: int) -> np.ndarray:
    """The same signal after a large change in one direction."""
    if signal.kind == "rate":
        return (random.random(rows) < {"up": 1.0, "down": 0.01}[direction]).astype(float)
    values = healthy(signal, random, rows)
    if signal.kind == "ratio":
        return np.clip(values + (0.3 if direction == "up" else -0.3), 0.0, 1.0)
    return values * (4.0 if direction == "up" else 0.25)


def bad_direction(signal: Signal) -> str:
    return "up" if signal.direction in ("up", "both") else "down"


def signal_param(signal: Signal) -> Any:
    return pytest.param(signal, id=signal.name)


ALL_SIGNALS = [signal_param(signal) for signal in SIGNALS]


@pytest.fixture(scope="module")
def baselines() -> dict[str, Baseline]:
    random = np.random.default_rng(1)
    return {signal.name: learned({signal.name: healthy(signal, random, 20_000)}, SETTINGS) for signal in SIGNALS}


def fired(baseline: Baseline, name: str, values: np.ndarray) -> list[Any]:
    monitor = Monitor(baseline, SETTINGS)
    findings = [finding for part in blocks({name: values}) for finding in monitor.observe(part)]
    return [finding for finding in findings if finding.state == "firing"]


@pytest.mark.parametrize("signal", ALL_SIGNALS)
def test_an_unchanged_signal_is_silent(signal, baselines):
    assert fired(baselines[signal.name], signal.name, healthy(signal, np.random.default_rng(2), 20_000)) == []


@pytest.mark.parametrize("signal", ALL_SIGNALS)
def test_a_signal_that_gets_worse_fires_at_the_tier_of_its_role(signal, baselines):
    random = np.random.default_rng(3)
    values = np.concatenate(
        [healthy(signal, random, 2000), changed_values(signal, bad_direction(signal), random, 2000)]
    )
    findings = fired(baselines[signal.name], signal.name, values)
    wanted = {"pages": "page", "tickets": "ticket", "cause": "cause"}[signal.role]
    assert wanted in {finding.tier for finding in findings}
    assert {finding.tier for finding in findings} <= ({"page", "ticket"} if wanted == "page" else {wanted})
    assert {finding.side for finding in findings if finding.channel in ("rate", "location")} == {bad_direction(signal)}


@pytest.mark.parametrize("signal", [signal_param(signal) for signal in SIGNALS if signal.direction != "both"])
def test_a_signal_that_gets_better_is_silent(signal, baselines):
    random = np.random.default_rng(4)
    good_direction = "down" if signal.direction == "up" else "up"
    values = np.concatenate([healthy(signal, random, 2000), changed_values(signal, good_direction, random, 2000)])
    assert fired(baselines[signal.name], signal.name, values) == []


@pytest.mark.parametrize("signal", ALL_SIGNALS)
def test_values_that_are_not_finite_do_not_prevent_detection(signal, baselines):
    random = np.random.default_rng(5)
    values = np.concatenate(
        [healthy(signal, random, 2000), changed_values(signal, bad_direction(signal), random, 2000)]
    )
    spoiled = np.insert(values, range(0, 4000, 10), random.choice([np.nan, np.inf, -np.inf], 400))
    found_in_spoiled = fired(baselines[signal.name], signal.name, spoiled)
    assert {(finding.tier, finding.channel) for finding in found_in_spoiled} >= {
        (finding.tier, finding.channel)
        for finding in fired(baselines[signal.name], signal.name, values)
        if finding.channel in ("rate", "location")
    }


BASELINE = learned(normal_world(1, 40_000), SETTINGS)
TESTS = derive_tests(BASELINE, SETTINGS)[0]
LAYOUT = GridLayout(BASELINE, TESTS)


def block_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Blocks of a world that fails half-way, with records that lack some signals."""
    random = np.random.default_rng(seed)
    world = normal_world(seed, rows)
    for column in world.values():
        column[random.random(rows) < 0.01] = np.nan
    world["refused"][rows // 2 :] = 1.0
    labels = random.choice(["stop", "length", None], rows).tolist()
    prompts = ["v1"] * (rows // 4) + random.choice(["v1", "v2"], rows - rows // 4).tolist()
    tenants = random.choice(["acme", "bolt", None], rows).tolist()
    for part in blocks(world, size=128):
        start = int(part.times_ms[0] - START_MS) // 20
        stop = start + len(part.panes)
        yield (
            replace(
                part,
                categories={"finish_reason": labels[start:stop]},
                segments={"prompt": prompts[start:stop], "tenant": tenants[start:stop]},
                versions={"prompt": prompts[start:stop]},
            ),
        )


def grid_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,) in block_inputs(seed, rows):
        yield (LAYOUT.view(part).grid,)


def view_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,) in block_inputs(seed, rows):
        yield (LAYOUT.view(part),)


def grid_and_time_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,), (grid,) in zip(block_inputs(seed, rows), grid_inputs(seed, rows), strict=True):
        yield grid, part.times_ms


def segment_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Rows of two alternating values, as the segment bank receives them."""
    segments = Segments(TESTS, LAYOUT, SETTINGS, KnownDays())
    for (part,), (grid,) in zip(block_inputs(seed, rows), grid_inputs(seed, rows), strict=True):
        groups = group_rows(part.panes, [np.arange(part.panes.size) % 2], 2)
        assert groups is not None
        numbers = grid.numbers_by_row(segments.grid_columns)
        sums = sum_groups(groups, numbers, segments.bank.segment_evidence.log_bets(numbers))
        yield np.arange(2), sums, part.times_ms, always


def always(_crossing: Crossing) -> bool:
    return True


def segment_bank() -> SegmentBank:
    bank = Segments(TESTS, LAYOUT, SETTINGS, KnownDays()).bank
    for slot in range(2):
        bank.open_slot(slot)
    return bank


def value_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,) in block_inputs(seed, rows):
        yield (LAYOUT.monitored_values(part)[:-1],)


def admitted_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Batches in which a fifth of the records have no readable time, with the arrival times."""
    random = np.random.default_rng(seed)
    admission = Admission(SETTINGS, replay=False)
    for first in range(0, rows, 500):
        arrived_ms = [START_MS + (first + number) * 20 for number in range(500)]
        values = [
            orjson.dumps({"subject": "bot", "timestamp": "soon" if late else at_ms, "output": {"empty": False}})
            for at_ms, late in zip(arrived_ms, random.random(500) < 0.2, strict=True)
        ]
        messages = [
            RawMessage(RECORDS, 0, first + number, at_ms, None, value)
            for number, (at_ms, value) in enumerate(zip(arrived_ms, values, strict=True))
        ]
        batch = admission.admit(messages)
        times_ms = batch.originals.append_times_ms(batch.records.positions).tolist()
        rejected_ms = batch.originals.append_times_ms([rejected.position for rejected in batch.rejected]).tolist()
        yield batch, times_ms, rejected_ms


LIMITED = SETTINGS.model_copy(
    update={
        "signals": (
            SignalRule(signal="latency_ms", limits=(ValueLimit(statistic="p95", above=900.0, over_s=60),)),
            SignalRule(signal="custom.*", limits=(ValueLimit(statistic="mean", below=0.4, over_s=60),)),
        )
    }
)


def record_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Blocks of records that break the limits for a minute in four, with the columns of their stream."""
    random, columns = np.random.default_rng(seed), SignalColumns(8)
    admission = Admission(SETTINGS, replay=False)
    for first in range(0, rows, 500):
        values = [
            {
                "subject": "bot",
                "timestamp": START_MS + number * 100,
                "infrastructure": {"latency_ms": float(random.lognormal(6.0 + (number // 600 % 4 == 3), 0.2))},
                "custom": {"score": float(random.random()) - 0.4 * (number // 600 % 4 == 2)},
            }
            for number in range(first, first + 500)
        ]
        records = admission.admit(
            [
                RawMessage(RECORDS, 0, first + n, one["timestamp"], None, orjson.dumps(one))
                for n, one in enumerate(values)
            ]
        ).records
        records.panes = records.times_ms // 1000
        columns.fill_custom_values(records)
        columns.build_block(records)
        yield records, columns


@dataclass(frozen=True)
class Case:
    """How to create an object of a class with state, and its inputs."""

    make: Callable[[], Any]
    inputs: Callable[..., Iterator[tuple[Any, ...]]]


REFUSED = next(index for index, test in enumerate(TESTS) if test.signal.name == "refused")
MONITORED = AdwinChannel(
    "refused.rate",
    int(LAYOUT.channel_columns[REFUSED]),
    int(LAYOUT.presence_columns[REFUSED]),
    is_rate=True,
    mean=0.01,
    low=None,
    high=TicketBoundary(0.02, test=REFUSED),
)


def flat_traffic() -> Traffic:
    return Traffic(requests_per_minute=[60.0] * 24, dispersion=1.0)


def request_inputs(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Minutes of which some lack most of their requests."""
    random = np.random.default_rng(seed)
    means = np.where(np.arange(rows // 20) // 40 % 4 == 3, 15, 60)
    for one in minute_requests(random.poisson(means)):
        yield [one], SILENCE_AFTER_S


def first_seen() -> FirstSeen:
    tracker = FirstSeen(64)
    tracker.follow(BASELINE)
    return tracker


CASES: dict[type, Case] = {
    PageHinkleyBank: Case(
        lambda: PageHinkleyBank(TESTS, LAYOUT.channel_columns, LAYOUT.presence_columns, 8.0), grid_and_time_inputs
    ),
    DeadLetterMonitor: Case(lambda: DeadLetterMonitor(0, SETTINGS), admitted_inputs),
    Monitor: Case(lambda: Monitor(BASELINE, SETTINGS), block_inputs),
    FixedLimits: Case(lambda: FixedLimits("bot", LIMITED), record_inputs),
    FieldPresence: Case(FieldPresence, block_inputs),
    FirstSeen: Case(first_seen, block_inputs),
    MinuteSeries: Case(lambda: MinuteSeries(LAYOUT), view_inputs),
    AdwinBank: Case(lambda: AdwinBank([MONITORED], SETTINGS.adwin_delta, SETTINGS.adwin_records), grid_inputs),
    RecentValues: Case(lambda: RecentValues(LAYOUT.value_indexes), value_inputs),
    SegmentBank: Case(segment_bank, segment_inputs),
    RequestLoss: Case(lambda: request_loss(flat_traffic()), request_inputs),
    Statistics: Case(lambda: Statistics(SETTINGS), block_inputs),
}


def discovered_classes() -> set[type]:
    """Every class of detect with observe, dump and load."""
    modules = (
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(pipeline.detect.__path__, "pipeline.detect.")
    )
    return {
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and all(hasattr(member, verb) for verb in ("observe", "dump", "load"))
    }


def for_every_class() -> Any:
    cases = [pytest.param(case, id=stateful.__name__) for stateful, case in CASES.items()]
    return pytest.mark.parametrize("case", cases)


def encoded_state(stateful: Any) -> bytes:
    return encode(stateful.dump(), kind="test")


def test_every_detector_and_statistic_has_a_case():
    assert discovered_classes() == set(CASES)


@for_every_class()
def test_the_same_input_gives_the_same_output_and_state_to_the_bit(case):
    first, second = case.make(), case.make()
    assert [first.observe(*values) for values in case.inputs(7)] == [
        second.observe(*values) for values in case.inputs(7)
    ]
    assert encoded_state(first) == encoded_state(second)


@for_every_class()
def test_a_state_restored_between_any_two_blocks_continues_to_the_bit(case):
    uninterrupted, restored = case.make(), case.make()
    for values in case.inputs(8):
        state = decode(encoded_state(restored), kind="test")
        restored = case.make()
        restored.load(state)
        assert uninterrupted.observe(*values) == restored.observe(*values)
        assert encoded_state(uninterrupted) == encoded_state(restored)


@pytest.mark.slow
@for_every_class()
def test_a_state_does_not_grow_with_time(case):
    stateful = case.make()
    sizes = []
    for seed in (9, 9, 9):
        for values in case.inputs(seed, 4 * ROWS):
            stateful.observe(*values)
        sizes.append(len(encoded_state(stateful)))
    assert sizes[2] < 1.2 * sizes[0] + 1000


@for_every_class()
def test_a_state_contains_only_finite_numbers(case):
    stateful = case.make()
    for values in case.inputs(10):
        stateful.observe(*values)
    assert all(np.isfinite(array).all() for array in arrays(stateful.dump()))


def arrays(state: Any) -> Iterator[np.ndarray]:
    if isinstance(state, dict):
        for value in state.values():
            yield from arrays(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from arrays(value)
    elif isinstance(state, float | np.ndarray):
        yield np.asarray(state, dtype=np.float64)


def test_records_of_one_pane_may_arrive_in_any_order():
    """The evidence of a pane does not depend on the order of its records, while no statistic is at 0 within it."""
    random = np.random.default_rng(11)
    world = {"refused": (random.random(8) < 0.5).astype(float)}
    shuffled = {"refused": world["refused"][random.permutation(8)]}
    statistics = []
    for columns in (world, shuffled):
        bank = CASES[PageHinkleyBank].make()
        for part in blocks(columns):
            bank.observe(LAYOUT.view(part).grid, part.times_ms)
        statistics.append(bank.test_statistics)
    np.testing.assert_allclose(statistics[0], statistics[1], atol=1e-12)
    assert statistics[0].max() > 0


def test_a_learner_restored_at_any_time_learns_the_same_baseline():
    uninterrupted, parts = Learner("bot", SETTINGS), {}
    for (part,) in block_inputs(12):
        restored = Learner("bot", SETTINGS)
        for name, state in parts.items():
            restored.load_part(name, decode(state, kind="test"))
        restored.dump_parts()
        restored.observe(part)
        uninterrupted.observe(part)
        for name, state in restored.dump_parts().items():
            parts[name] = encode(state, kind="test")
    assert restored.baseline("file") == uninterrupted.baseline("file")
