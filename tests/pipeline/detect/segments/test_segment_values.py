import numpy as np

from pipeline.detect.segments.segment_values import FOUNDING_S, LIVE_S, NOT_MONITORED, SegmentValues, compute_densities
from pipeline.detect.settings import DAY_S
from pipeline.detect.signals.block import label_indexes


def dimension_of(limit=3, founding_records=100):
    return SegmentValues(limit, 2, founding_records)


def update(dimension, labels, pane):
    present, replaced = dimension.update(labels, pane, pane)
    return [value.label for value in present], [value.label for value in replaced]


def test_values_are_present_in_the_order_of_their_first_record():
    assert update(dimension_of(), ["b", None, "a", "b"], 5) == (["b", "a"], [])


def test_beyond_the_limit_a_value_counts_as_other_until_one_was_not_seen_for_a_day():
    dimension = dimension_of()
    update(dimension, ["a"], 0)
    assert update(dimension, ["b", "c", "d", "d", "e"], 10) == (["b", "c"], [])
    assert dimension.other_records == 3
    assert update(dimension, ["d", "b"], DAY_S) == (["b"], [])
    assert update(dimension, ["d", "b"], DAY_S + 1) == (["d", "b"], ["a"])
    assert list(dimension.values) == ["b", "c", "d"]


def test_a_value_is_live_for_an_hour():
    dimension = dimension_of()
    update(dimension, ["a", "b"], 0)
    update(dimension, ["b"], 10)
    assert [value.label for value in dimension.live_values(LIVE_S)] == ["a", "b"]
    assert [value.label for value in dimension.live_values(LIVE_S + 1)] == ["b"]


def test_a_version_that_was_there_from_the_beginning_settles_and_a_new_one_does_not():
    dimension = dimension_of(founding_records=4)
    dimension.is_version = True
    update(dimension, ["v1"] * 4, 0)
    update(dimension, ["v2"], 1)
    assert [value.is_settling for value in dimension.values.values()] == [True, False]


def test_ten_minutes_later_a_version_is_new_however_few_records_came_before():
    dimension = dimension_of(founding_records=1000)
    dimension.is_version = True
    update(dimension, ["v1"], 0)
    update(dimension, ["v2"], FOUNDING_S - 1)
    update(dimension, ["v3"], FOUNDING_S)
    assert [value.is_settling for value in dimension.values.values()] == [True, True, False]


def test_a_region_or_tenant_always_settles():
    dimension = dimension_of(founding_records=4)
    update(dimension, ["eu"] * 4, 0)
    update(dimension, ["us"], 1)
    assert [value.is_settling for value in dimension.values.values()] == [True, True]


def test_labels_have_their_indexes_and_others_have_minus_one():
    assert label_indexes(["a", None, "b", "x", "a"], {"a": 0, "b": 4}).tolist() == [0, -1, 4, -1, 0]
    assert label_indexes(["a", "b"], {"a": 0, "b": 1}).tolist() == [0, 1]
    assert label_indexes(["a", None], {"a": 0, "b": 1}).tolist() == [0, -1]


def test_a_restored_state_is_the_same():
    dimension, restored = dimension_of(), dimension_of()
    update(dimension, ["a", "b", "c", "d"], 7)
    dimension.values["b"].signal_records += 5.0
    restored.load(dimension.dump(), [0, 1])
    assert repr(restored.dump()) == repr(dimension.dump())
    assert {value.slot for value in restored.values.values()} == {NOT_MONITORED}
    assert update(restored, ["d"], 8) == update(dimension, ["d"], 8)


def test_the_density_of_random_records_is_their_share_and_that_of_runs_is_higher():
    random = np.random.default_rng(1)
    mixed = (random.random(4000) < 0.05).astype(np.int64)
    np.testing.assert_allclose(compute_densities([mixed], 2), [0.95, 0.05], atol=0.02)
    in_runs = np.repeat(mixed, 20)[:4000]
    assert compute_densities([in_runs], 2)[1] > 0.9
    assert compute_densities([np.array([-1, 0, -1])], 2).tolist() == [1 / 3, 0.0]
