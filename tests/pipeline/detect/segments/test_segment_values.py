import numpy as np

from pipeline.detect.segments.segment_values import FOUNDING_S, LIVE_S, NOT_WATCHED, SegmentValues, densities
from pipeline.detect.settings import DAY_S
from pipeline.detect.signals.block import label_indexes


def values(limit=3, founding=100):
    return SegmentValues(limit, 2, founding)


def see(kept, labels, pane):
    present, gone = kept.see(labels, pane, pane)
    return [value.label for value in present], [value.label for value in gone]


def test_values_are_present_in_the_order_of_their_first_record():
    assert see(values(), ["b", None, "a", "b"], 5) == (["b", "a"], [])


def test_beyond_the_limit_a_value_is_among_the_others_until_one_was_not_seen_for_a_day():
    kept = values()
    see(kept, ["a"], 0)
    assert see(kept, ["b", "c", "d", "d", "e"], 10) == (["b", "c"], [])
    assert kept.others == 3
    assert see(kept, ["d", "b"], DAY_S) == (["b"], [])
    assert see(kept, ["d", "b"], DAY_S + 1) == (["d", "b"], ["a"])
    assert list(kept.values) == ["b", "c", "d"]


def test_a_value_is_live_for_an_hour():
    kept = values()
    see(kept, ["a", "b"], 0)
    see(kept, ["b"], 10)
    assert [value.label for value in kept.live(LIVE_S)] == ["a", "b"]
    assert [value.label for value in kept.live(LIVE_S + 1)] == ["b"]


def test_a_version_that_was_there_from_the_beginning_settles_and_a_new_one_does_not():
    kept = values(founding=4)
    kept.is_version = True
    see(kept, ["v1"] * 4, 0)
    see(kept, ["v2"], 1)
    assert [value.settling for value in kept.values.values()] == [True, False]


def test_ten_minutes_later_a_version_is_new_however_few_records_came_before():
    kept = values(founding=1000)
    kept.is_version = True
    see(kept, ["v1"], 0)
    see(kept, ["v2"], FOUNDING_S - 1)
    see(kept, ["v3"], FOUNDING_S)
    assert [value.settling for value in kept.values.values()] == [True, True, False]


def test_a_region_or_tenant_always_settles():
    kept = values(founding=4)
    see(kept, ["eu"] * 4, 0)
    see(kept, ["us"], 1)
    assert [value.settling for value in kept.values.values()] == [True, True]


def test_codes_tell_the_place_of_each_label_and_of_none_that_has_no_place():
    assert label_indexes(["a", None, "b", "x", "a"], {"a": 0, "b": 4}).tolist() == [0, -1, 4, -1, 0]
    assert label_indexes(["a", "b"], {"a": 0, "b": 1}).tolist() == [0, 1]


def test_state_put_down_and_taken_up_is_the_same():
    kept, other = values(), values()
    see(kept, ["a", "b", "c", "d"], 7)
    kept.values["b"].carried += 5.0
    kept.values["c"].slot = 2
    other.load(kept.dump())
    assert repr(other.dump()) == repr(kept.dump())
    assert [value.slot for value in other.values.values()] == [NOT_WATCHED, NOT_WATCHED, 2]
    assert see(other, ["d"], 8) == see(kept, ["d"], 8)


def test_records_that_come_at_random_lie_as_close_as_their_share_and_those_in_a_row_closer():
    random = np.random.default_rng(1)
    mixed = (random.random(4000) < 0.05).astype(np.int64)
    np.testing.assert_allclose(densities([mixed], 2), [0.95, 0.05], atol=0.02)
    in_rows = np.repeat(mixed, 20)[:4000]
    assert densities([in_rows], 2)[1] > 0.9
    assert densities([np.array([-1, 0, -1])], 2).tolist() == [1 / 3, 0.0]
