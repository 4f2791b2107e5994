import numpy as np
import pytest

from pipeline.detect.baselines.ranks import RankTable
from pipeline.detect.layout.grid import Samples
from pipeline.detect.layout.grid_layout import GridLayout
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
    return GridLayout(baseline, derive_tests(baseline, REPLAY)[0])


def broken_world(rows=200):
    random = np.random.default_rng(2)
    world = normal_world(3, rows)
    for column in world.values():
        column[random.random(rows) < 0.2] = np.nan
    world["latency_ms"][:3] = [np.inf, -np.inf, -1e300]
    world["length"][:3] = [1e300, 0.0, -0.0]
    return world


def test_a_grid_has_every_channel_and_the_presence_of_every_signal(baseline, layout):
    part = block(broken_world())
    view = layout.view(part)
    samples, grid = view.grid.samples, view.grid
    assert samples.rows.tolist() == Samples.cut(part.panes).rows.tolist()
    inside = samples.rows < part.panes.size
    assert not grid.numbers[~inside].any()
    for index, signal in enumerate(layout.signals):
        values = part.values[:, list(part.signals).index(signal)]
        values[np.isinf(values)] = np.nan
        presence = grid.numbers[:, :, index][inside]
        np.testing.assert_array_equal(presence, (~np.isnan(values))[samples.rows[inside]])
        knots = baseline.signals[signal.name].knots
        ranks = values if knots is None else RankTable(knots).ranks(values)
        for channel in ("rate",) if knots is None else VALUE_CHANNELS:
            expected = np.nan_to_num(from_rank(channel, ranks))[samples.rows[inside]]
            np.testing.assert_array_equal(grid.numbers[:, :, layout.channel_column(signal, channel)][inside], expected)


def test_every_test_has_its_columns(baseline, layout):
    tests, _ = derive_tests(baseline, REPLAY)
    for index, test in enumerate(tests):
        assert layout.signals[layout.signal_indexes[index]] is test.signal
        assert layout.channel_columns[index] == layout.channel_column(test.signal, test.channel)
        assert (layout.baseline_median(index) is None) == (test.channel == "rate")
    columns = {(test.signal.name, test.channel): layout.channel_column(test.signal, test.channel) for test in tests}
    assert len(set(columns.values())) == len(columns)


def test_signals_that_a_block_lacks_are_absent_from_all_records(baseline):
    layout = GridLayout(baseline, derive_tests(baseline, REPLAY)[0])
    part = block({"refused": np.ones(10)})
    values = layout.monitored_values(part)
    assert values.shape == (11, len(layout.signals))
    index = layout.signals.index(BY_NAME["refused"])
    assert values[:-1, index].tolist() == [1.0] * 10
    assert np.isnan(np.delete(values, index, axis=1)).all()
    assert np.isnan(values[-1]).all()


def test_a_block_without_monitored_signals_has_no_values(baseline):
    layout = GridLayout(baseline, derive_tests(baseline, REPLAY)[0])
    assert np.isnan(layout.monitored_values(block({"thumbs_down": np.ones(10)}))).all()


def with_profile(baseline, medians, transform="log"):
    profile = Profile(transform=transform, medians=medians)
    latency = baseline.signals["latency_ms"].model_copy(update={"profile": profile})
    return baseline.model_copy(update={"signals": baseline.signals | {"latency_ms": latency}})


def test_only_the_value_with_a_profile_is_corrected_for_the_hour(baseline):
    hour = START_MS // 3_600_000 % 24
    medians = [100.0] * 24
    for near in (hour - 1, hour, (hour + 1) % 24):
        medians[near] = 200.0
    cyclic = with_profile(baseline, medians)
    layout = GridLayout(cyclic, derive_tests(cyclic, REPLAY)[0])
    world = broken_world()
    part = block(world)
    values = layout.monitored_values(part)
    for name in world:
        corrected = values[:-1, layout.signals.index(BY_NAME[name])]
        expected = np.where(np.isinf(world[name]), np.nan, world[name]) * (0.5 if name == "latency_ms" else 1.0)
        np.testing.assert_array_equal(corrected, expected)
    assert np.isnan(values[-1]).all()
    later = block({"latency_ms": np.full(3, 70.0)}, start_ms=START_MS + 3 * 3_600_000)
    assert layout.monitored_values(later)[:-1, layout.signals.index(BY_NAME["latency_ms"])].tolist() == [70.0] * 3


def test_a_value_too_large_to_be_corrected_is_absent(baseline):
    cyclic = with_profile(baseline, [1.0] + [1e10] * 22 + [1.0])
    layout = GridLayout(cyclic, derive_tests(cyclic, REPLAY)[0])
    midnight = START_MS - START_MS % 86_400_000
    values = layout.monitored_values(block({"latency_ms": np.array([1e300, np.nan, np.inf, 5.0])}, start_ms=midnight))
    corrected = values[:-1, layout.signals.index(BY_NAME["latency_ms"])]
    np.testing.assert_array_equal(corrected, [np.nan, np.nan, np.nan, 5e10])


def test_a_profile_that_cannot_be_applied_is_rejected(baseline):
    cyclic = with_profile(baseline, [0.0] * 24)
    with pytest.raises(ValueError, match="medians above 0"):
        GridLayout(cyclic, derive_tests(cyclic, REPLAY)[0])
