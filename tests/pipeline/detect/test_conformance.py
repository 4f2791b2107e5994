"""Every signal, statistic and detector is found by itself and held to the same promises: a new one joins by existing."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import pipeline.detect
from pipeline.codec import decode, encode
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.detectors.adwin import AdwinBank, AdwinChannel
from pipeline.detect.detectors.page_hinkley import PageHinkleyBank
from pipeline.detect.findings.first_seen import FirstSeen
from pipeline.detect.findings.recent_values import RecentValues
from pipeline.detect.findings.series import MinuteSeries
from pipeline.detect.layout.grid import numbers_by_row
from pipeline.detect.layout.layout import Layout
from pipeline.detect.layout.samples import cut_samples
from pipeline.detect.layout.view import BlockView
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.segments.segment_bank import SegmentBank
from pipeline.detect.segments.segment_sums import group_rows, sum_groups
from pipeline.detect.segments.segments import Segments
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import SIGNALS, Signal
from pipeline.detect.statistics.statistics import Statistics
from schemas.baseline import Baseline
from tests.pipeline.detect.worlds import START_MS, blocks, learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
ROWS = 6000


def healthy(signal: Signal, random: np.random.Generator, rows: int) -> np.ndarray:
    """Values of a signal of any kind, within its bounds, with room to move either way."""
    if signal.kind == "rate":
        usual = {"up": 0.02, "down": 0.98, "both": 0.2}[signal.direction]
        return (random.random(rows) < usual).astype(float)
    if signal.kind == "ratio":
        return np.clip(random.beta(8, 8, rows), signal.low, signal.high)
    return random.lognormal(5.0, 0.5, rows)


def moved(signal: Signal, side: str, random: np.random.Generator, rows: int) -> np.ndarray:
    """The same signal, gone far to one side."""
    if signal.kind == "rate":
        return (random.random(rows) < {"up": 1.0, "down": 0.01}[side]).astype(float)
    values = healthy(signal, random, rows)
    if signal.kind == "ratio":
        return np.clip(values + (0.3 if side == "up" else -0.3), 0.0, 1.0)
    return values * (4.0 if side == "up" else 0.25)


def worse(signal: Signal) -> str:
    return "up" if signal.direction in ("up", "both") else "down"


def named(signal: Signal) -> Any:
    return pytest.param(signal, id=signal.name)


EACH = [named(signal) for signal in SIGNALS]


@pytest.fixture(scope="module")
def baselines() -> dict[str, Baseline]:
    random = np.random.default_rng(1)
    return {signal.name: learned({signal.name: healthy(signal, random, 20_000)}, SETTINGS) for signal in SIGNALS}


def fired(baseline: Baseline, name: str, values: np.ndarray) -> list[Any]:
    judge = Monitor(baseline, SETTINGS)
    return [each for part in blocks({name: values}) for each in judge.observe(part) if each.state == "firing"]


@pytest.mark.parametrize("signal", EACH)
def test_a_signal_that_is_as_it_was_is_silent(signal, baselines):
    assert fired(baselines[signal.name], signal.name, healthy(signal, np.random.default_rng(2), 20_000)) == []


@pytest.mark.parametrize("signal", EACH)
def test_a_signal_that_gets_worse_is_found_at_the_tier_of_its_role(signal, baselines):
    random = np.random.default_rng(3)
    values = np.concatenate([healthy(signal, random, 2000), moved(signal, worse(signal), random, 2000)])
    found = fired(baselines[signal.name], signal.name, values)
    wanted = {"pages": "page", "tickets": "ticket", "cause": "cause"}[signal.role]
    assert wanted in {each.tier for each in found}
    assert {each.tier for each in found} <= ({"page", "ticket"} if wanted == "page" else {wanted})
    assert {each.side for each in found if each.channel in ("rate", "location")} == {worse(signal)}


@pytest.mark.parametrize("signal", [named(signal) for signal in SIGNALS if signal.direction != "both"])
def test_a_signal_that_gets_better_is_no_news(signal, baselines):
    random = np.random.default_rng(4)
    better = "down" if signal.direction == "up" else "up"
    values = np.concatenate([healthy(signal, random, 2000), moved(signal, better, random, 2000)])
    assert fired(baselines[signal.name], signal.name, values) == []


@pytest.mark.parametrize("signal", EACH)
def test_what_is_no_number_never_blinds_a_signal(signal, baselines):
    random = np.random.default_rng(5)
    values = np.concatenate([healthy(signal, random, 2000), moved(signal, worse(signal), random, 2000)])
    spoiled = np.insert(values, range(0, 4000, 10), random.choice([np.nan, np.inf, -np.inf], 400))
    assert {(each.tier, each.channel) for each in fired(baselines[signal.name], signal.name, spoiled)} >= {
        (each.tier, each.channel)
        for each in fired(baselines[signal.name], signal.name, values)
        if each.channel in ("rate", "location")
    }


BASELINE = learned(normal_world(1, 40_000), SETTINGS)
SIDES = derive_tests(BASELINE, SETTINGS)[0]
LAYOUT = Layout(BASELINE, SIDES)


def of_blocks(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Blocks of a world that breaks half-way, in which records lack some signals."""
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


def of_grids(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,) in of_blocks(seed, rows):
        yield (LAYOUT.grid(cut_samples(part.panes), LAYOUT.values(part)),)


def of_views(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,), (grid,) in zip(of_blocks(seed, rows), of_grids(seed, rows), strict=True):
        yield (BlockView(part, LAYOUT.values(part), grid),)


def of_grids_and_times(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,), (grid,) in zip(of_blocks(seed, rows), of_grids(seed, rows), strict=True):
        yield grid, part.times_ms


def of_sums_and_times(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    """Rows of two values by turns, as the segment bank gets them."""
    segments = Segments(SIDES, LAYOUT, SETTINGS)
    for (part,), (grid,) in zip(of_blocks(seed, rows), of_grids(seed, rows), strict=True):
        parts = group_rows(part.panes, [np.arange(part.panes.size) % 2], 2)
        assert parts is not None
        numbers = numbers_by_row(grid, segments.used)
        yield np.arange(2), sum_groups(parts, numbers, segments.bank.steps.scores(numbers)), part.times_ms, always


def always(_side: int, _records: float) -> bool:
    return True


def segment_bank() -> SegmentBank:
    bank = Segments(SIDES, LAYOUT, SETTINGS).bank
    for slot in range(2):
        bank.clear(slot)
    return bank


def of_values(seed: int, rows: int = ROWS) -> Iterator[tuple[Any, ...]]:
    for (part,) in of_blocks(seed, rows):
        yield (LAYOUT.values(part)[:-1],)


@dataclass(frozen=True)
class Case:
    """How one class that keeps state is made, and what it is given."""

    make: Callable[[], Any]
    given: Callable[..., Iterator[tuple[Any, ...]]]


REFUSED = next(index for index, side in enumerate(SIDES) if side.signal.name == "refused")
WATCHED = AdwinChannel(
    int(LAYOUT.side_channels[REFUSED]), int(LAYOUT.side_carried[REFUSED]), rate=True, usual=0.01, low=None, high=0.02
)


def first_seen() -> FirstSeen:
    made = FirstSeen()
    made.follow(BASELINE)
    return made


CASES: dict[type, Case] = {
    PageHinkleyBank: Case(
        lambda: PageHinkleyBank(SIDES, LAYOUT.side_channels, LAYOUT.side_carried, 8.0), of_grids_and_times
    ),
    Monitor: Case(lambda: Monitor(BASELINE, SETTINGS), of_blocks),
    FirstSeen: Case(first_seen, of_blocks),
    MinuteSeries: Case(lambda: MinuteSeries(LAYOUT), of_views),
    AdwinBank: Case(lambda: AdwinBank([WATCHED], SETTINGS.adwin_delta, SETTINGS.adwin_records), of_grids),
    RecentValues: Case(lambda: RecentValues(LAYOUT.valued), of_values),
    SegmentBank: Case(segment_bank, of_sums_and_times),
    Statistics: Case(lambda: Statistics(SETTINGS), of_blocks),
}


def found() -> set[type]:
    """Every class of detect that observes and keeps state."""
    modules = (
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(pipeline.detect.__path__, "pipeline.detect.")
    )
    return {
        own
        for module in modules
        for _, own in inspect.getmembers(module, inspect.isclass)
        if own.__module__ == module.__name__ and all(hasattr(own, verb) for verb in ("observe", "dump", "load"))
    }


def each_class() -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=own.__name__) for own, case in CASES.items()])


def written(kept: Any) -> bytes:
    return encode(kept.dump(), kind="test", settings_hash="test")


def test_every_detector_and_statistic_is_held_to_these_promises():
    assert found() == set(CASES)


@each_class()
def test_the_same_input_gives_the_same_output_and_state_to_the_bit(case):
    first, second = case.make(), case.make()
    assert [first.observe(*given) for given in case.given(7)] == [second.observe(*given) for given in case.given(7)]
    assert written(first) == written(second)


@each_class()
def test_a_state_taken_up_between_any_two_blocks_goes_on_to_the_bit(case):
    whole, carried = case.make(), case.make()
    for given in case.given(8):
        state = decode(written(carried), kind="test", settings_hash="test")
        carried = case.make()
        carried.load(state)
        assert whole.observe(*given) == carried.observe(*given)
        assert written(whole) == written(carried)


@each_class()
def test_a_state_does_not_grow_with_time(case):
    kept = case.make()
    sizes = []
    for seed in (9, 9, 9):
        for given in case.given(seed, 4 * ROWS):
            kept.observe(*given)
        sizes.append(len(written(kept)))
    assert sizes[2] < 1.2 * sizes[0] + 1000


@each_class()
def test_nothing_that_is_no_number_gets_into_a_state(case):
    kept = case.make()
    for given in case.given(10):
        kept.observe(*given)
    assert all(np.isfinite(array).all() for array in arrays(kept.dump()))


def arrays(state: Any) -> Iterator[np.ndarray]:
    if isinstance(state, dict):
        for value in state.values():
            yield from arrays(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from arrays(value)
    elif isinstance(state, float | np.ndarray):
        yield np.asarray(state, dtype=np.float64)


def test_records_of_one_pane_may_come_in_any_order():
    """The evidence of a pane is the same to rounding however its records are ordered, as long as no walk is at 0 within."""
    random = np.random.default_rng(11)
    world = {"refused": (random.random(8) < 0.5).astype(float)}
    shuffled = {"refused": world["refused"][random.permutation(8)]}
    walks = []
    for columns in (world, shuffled):
        bank = CASES[PageHinkleyBank].make()
        for part in blocks(columns):
            bank.observe(LAYOUT.grid(cut_samples(part.panes), LAYOUT.values(part)), part.times_ms)
        walks.append(bank.walks)
    np.testing.assert_allclose(walks[0], walks[1], atol=1e-12)
    assert walks[0].max() > 0


def test_a_learner_taken_up_at_any_time_learns_the_same_baseline():
    whole, parts = Learner("bot", SETTINGS), {}
    for (part,) in of_blocks(12):
        taken_up = Learner("bot", SETTINGS)
        for name, state in parts.items():
            taken_up.load_part(name, decode(state, kind="test", settings_hash="test"))
        taken_up.dump_parts()
        taken_up.observe(part)
        whole.observe(part)
        for name, state in taken_up.dump_parts().items():
            parts[name] = encode(state, kind="test", settings_hash="test")
    assert taken_up.baseline("file") == whole.baseline("file")
