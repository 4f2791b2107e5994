"""What is due next, and what has the lowest rank: the answers are those of a look at everything."""

import math

from hypothesis import given
from hypothesis import strategies as st

from pipeline.due_times import OUTDATED_MAX, DueTimes, LowestRank

NAMES = st.sampled_from("abcdef")
CHANGES = st.lists(st.tuples(NAMES, st.integers(0, 20) | st.none()), max_size=60)


@given(CHANGES, st.integers(1, 60))
def test_the_lowest_ranks_are_those_of_sorting_everything(changes, checks):
    ranks: dict[str, int] = {}
    lowest = LowestRank(ranks.get)
    for number, (name, rank) in enumerate(changes):
        ranks.pop(name, None)
        if rank is not None:
            ranks[name] = rank
        lowest.mark(name)
        if number % checks == 0:
            ordered = sorted(ranks, key=lambda one: (ranks[one], one))
            assert lowest.lowest(3) == ordered[:3]
            assert lowest.first() == next(iter(ordered), None)


@given(CHANGES, st.integers(1, 60))
def test_the_due_names_are_those_of_looking_at_all_times(changes, checks):
    times: dict[str, int] = {}
    due = DueTimes()
    for number, (name, at) in enumerate(changes):
        times.pop(name, None)
        if at is not None:
            times[name] = at
        due.set(name, math.inf if at is None else at)
        if number % checks == 0:
            now = number // 3
            expected = sorted((one for one in times if times[one] <= now), key=lambda one: (times[one], one))
            assert due.take(now) == expected
            for one in expected:
                del times[one]


def test_a_rank_may_change_after_its_name_is_marked_however_many_names_are_marked():
    ranks: dict[str, int] = {}
    lowest = LowestRank(ranks.get)
    for number in range(2 * OUTDATED_MAX + 10):
        name = f"{number:05d}"
        ranks[name] = 0
        lowest.mark(name)
        ranks[name] = number + 1
    assert lowest.lowest(len(ranks)) == sorted(ranks)
