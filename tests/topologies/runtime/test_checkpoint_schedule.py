import pytest

from topologies.runtime.checkpoint_schedule import (
    INTERVAL_MAX_S,
    STATE_BYTES_PER_S,
    TIME_SHARE,
    URGENT_WAIT_MAX_S,
    CheckpointSchedule,
)


def schedule_after(cost_s, state_bytes=0):
    schedule = CheckpointSchedule(2.0, now_s=0.0)
    schedule.record(10.0, 10.0 + cost_s, state_bytes=state_bytes)
    return schedule


def test_checkpoints_that_cost_little_follow_the_interval_and_urgent_ones_do_not_wait():
    schedule = schedule_after(0.01, state_bytes=100_000)
    assert not schedule.is_due(11.9, is_urgent=False, partitions=4)
    assert schedule.is_due(12.1, is_urgent=False, partitions=4)
    assert schedule.is_due(10.1, is_urgent=True, partitions=4)


@pytest.mark.parametrize(("cost_s", "state_bytes"), [(0.2, 0), (0.01, 20_000_000), (0.4, 12_000_000)])
@pytest.mark.parametrize("partitions", [1, 2])
def test_the_interval_keeps_checkpoints_within_their_shares(cost_s, state_bytes, partitions):
    interval_s = schedule_after(cost_s, state_bytes).interval_s(is_urgent=False, partitions=partitions)
    assert interval_s == INTERVAL_MAX_S or cost_s * partitions / interval_s <= TIME_SHARE + 1e-9
    assert interval_s == INTERVAL_MAX_S or state_bytes * partitions / interval_s <= STATE_BYTES_PER_S


def test_what_is_read_again_after_a_crash_is_bounded():
    schedule = schedule_after(60.0, state_bytes=10**9)
    assert schedule.interval_s(is_urgent=False, partitions=12) == INTERVAL_MAX_S
    assert schedule.interval_s(is_urgent=True, partitions=12) == URGENT_WAIT_MAX_S


def test_a_longer_interval_of_the_configuration_stays():
    schedule = CheckpointSchedule(60.0, now_s=0.0)
    schedule.record(0.0, 5.0, state_bytes=0)
    assert schedule.interval_s(is_urgent=False, partitions=1) == 60.0
