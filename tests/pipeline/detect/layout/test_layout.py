import numpy as np
import pytest

from pipeline.detect.baselines.ranks import RankTable
from pipeline.detect.layout.layout import Layout
from pipeline.detect.layout.samples import cut_samples
from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.channels import VALUE_CHANNELS, from_rank
from schemas.baseline import Profile
from tests.pipeline.detect.worlds import BY_NAME, START_MS, block, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


@pytest.fixture(scope="module")
def layout(baseline):
    return Layout(baseline, derive_tests(baseline, REPLAY)[0])


def broken_world(rows=200):
    random = np.random.default_rng(2)
    world = normal_world(3, rows)
    for column in world.values():
        column[random.random(rows) < 0.2] = np.nan
    world["latency_ms"][:3] = [np.inf, -np.inf, -1e300]
    world["length"][:3] = [1e300, 0.0, -0.0]
    return world


def test_a_grid_holds_every_channel_and_where_its_signal_is_carried(baseline, layout):
    part = block(broken_world())
    samples = cut_samples(part.panes)
    grid = layout.grid(samples, layout.values(part))
    inside = samples.rows < part.panes.size
    assert not grid.numbers[~inside].any()
    for place, signal in enumerate(layout.signals):
        values = part.values[:, list(part.signals).index(signal)]
        values[np.isinf(values)] = np.nan
        carried = grid.numbers[:, :, place][inside]
        np.testing.assert_array_equal(carried, (~np.isnan(values))[samples.rows[inside]])
        knots = baseline.signals[signal.name].knots
        ranks = values if knots is None else RankTable(knots).ranks(values)
        for channel in ("rate",) if knots is None else VALUE_CHANNELS:
            expected = np.nan_to_num(from_rank(channel, ranks))[samples.rows[inside]]
            np.testing.assert_array_equal(grid.numbers[:, :, layout.column(signal, channel)][inside], expected)


def test_every_side_finds_its_own_columns(baseline, layout):
    sides, _ = derive_tests(baseline, REPLAY)
    for index, side in enumerate(sides):
        assert layout.signals[layout.side_signals[index]] is side.signal
        assert layout.side_channels[index] == layout.column(side.signal, side.channel)
        assert (layout.normal(index) is None) == (side.channel == "rate")
    columns = {(side.signal.name, side.channel): layout.column(side.signal, side.channel) for side in sides}
    assert len(set(columns.values())) == len(columns)


def test_signals_that_a_block_has_not_are_carried_by_no_record(baseline):
    layout = Layout(baseline, derive_tests(baseline, REPLAY)[0])
    part = block({"refused": np.ones(10)})
    values = layout.values(part)
    assert values.shape == (11, len(layout.signals))
    place = layout.signals.index(BY_NAME["refused"])
    assert values[:-1, place].tolist() == [1.0] * 10
    assert np.isnan(np.delete(values, place, axis=1)).all()
    assert np.isnan(values[-1]).all()


def test_a_block_without_any_watched_signal_carries_nothing(baseline):
    layout = Layout(baseline, derive_tests(baseline, REPLAY)[0])
    assert np.isnan(layout.values(block({"thumbs_down": np.ones(10)}))).all()


def with_profile(baseline, medians, transform="log"):
    profile = Profile(transform=transform, medians=medians)
    latency = baseline.signals["latency_ms"].model_copy(update={"profile": profile})
    return baseline.model_copy(update={"signals": baseline.signals | {"latency_ms": latency}})


def test_a_value_is_freed_of_its_hour_and_its_neighbours_are_not(baseline):
    hour = START_MS // 3_600_000 % 24
    medians = [100.0] * 24
    medians[hour] = 200.0
    cyclic = with_profile(baseline, medians)
    layout = Layout(cyclic, derive_tests(cyclic, REPLAY)[0])
    world = broken_world()
    part = block(world)
    values = layout.values(part)
    for name in world:
        own = values[:-1, layout.signals.index(BY_NAME[name])]
        expected = np.where(np.isinf(world[name]), np.nan, world[name]) * (0.5 if name == "latency_ms" else 1.0)
        np.testing.assert_array_equal(own, expected)
    assert np.isnan(values[-1]).all()
    later = block({"latency_ms": np.full(3, 70.0)}, start_ms=START_MS + 3_600_000)
    assert layout.values(later)[:-1, layout.signals.index(BY_NAME["latency_ms"])].tolist() == [70.0] * 3


def test_a_value_too_large_to_be_freed_is_no_value(baseline):
    cyclic = with_profile(baseline, [1.0] + [1e10] * 23)
    layout = Layout(cyclic, derive_tests(cyclic, REPLAY)[0])
    midnight = START_MS - START_MS % 86_400_000
    values = layout.values(block({"latency_ms": np.array([1e300, np.nan, np.inf, 5.0])}, start_ms=midnight))
    own = values[:-1, layout.signals.index(BY_NAME["latency_ms"])]
    np.testing.assert_array_equal(own, [np.nan, np.nan, np.nan, 5e10])


def test_a_profile_that_cannot_be_applied_is_refused(baseline):
    cyclic = with_profile(baseline, [0.0] * 24)
    with pytest.raises(ValueError, match="medians above 0"):
        Layout(cyclic, derive_tests(cyclic, REPLAY)[0])
