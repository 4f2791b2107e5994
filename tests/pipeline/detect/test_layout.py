import numpy as np
import pytest

from pipeline.detect.channels import VALUE_CHANNELS, of_rank
from pipeline.detect.layout import Layout
from pipeline.detect.rank import RankTable
from pipeline.detect.samples import samples_of
from pipeline.detect.settings import DetectSettings
from pipeline.detect.sides import sides_of
from tests.pipeline.detect.worlds import BY_NAME, block, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


@pytest.fixture(scope="module")
def layout(baseline):
    return Layout(baseline, sides_of(baseline, REPLAY)[0])


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
    samples = samples_of(part.panes)
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
            expected = np.nan_to_num(of_rank(channel, ranks))[samples.rows[inside]]
            np.testing.assert_array_equal(grid.numbers[:, :, layout.column(signal, channel)][inside], expected)


def test_every_side_finds_its_own_columns(baseline, layout):
    sides, _ = sides_of(baseline, REPLAY)
    for index, side in enumerate(sides):
        assert layout.signals[layout.side_signals[index]] is side.signal
        assert layout.side_channels[index] == layout.column(side.signal, side.channel)
        assert (layout.normal(index) is None) == (side.channel == "rate")
    columns = {(side.signal.name, side.channel): layout.column(side.signal, side.channel) for side in sides}
    assert len(set(columns.values())) == len(columns)


def test_signals_that_a_block_has_not_are_carried_by_no_record(baseline):
    layout = Layout(baseline, sides_of(baseline, REPLAY)[0])
    part = block({"refused": np.ones(10)})
    values = layout.values(part)
    assert values.shape == (11, len(layout.signals))
    place = layout.signals.index(BY_NAME["refused"])
    assert values[:-1, place].tolist() == [1.0] * 10
    assert np.isnan(np.delete(values, place, axis=1)).all()
    assert np.isnan(values[-1]).all()


def test_a_block_without_any_watched_signal_carries_nothing(baseline):
    layout = Layout(baseline, sides_of(baseline, REPLAY)[0])
    assert np.isnan(layout.values(block({"thumbs_down": np.ones(10)}))).all()
