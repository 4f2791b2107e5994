"""The schedule of faults and the messages depend only on the seed."""

from collections import Counter

import pytest

from load.chaos.faults.disturbance import FAULTS
from load.chaos.schedule import LONG_RUN, OUTAGE_S, RARE, WEIGHTS, plan_faults
from load.chaos.workload import POISON, START_MS, build_messages
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import DEAD_LETTERS, RECORDS


def test_a_seed_gives_the_same_schedule_and_the_same_choices():
    first, second = (plan_faults(7, 100) for _ in range(2))
    assert first == second
    assert [FAULTS[fault.kind](fault).name for fault in first] == [FAULTS[fault.kind](fault).name for fault in second]
    assert plan_faults(8, 100) != first


def test_every_kind_of_fault_has_a_weight_and_a_class():
    assert FAULTS.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("count", [1, 5, 10, 16, 17, 100, 137])
def test_a_schedule_has_as_many_faults_as_requested(count):
    planned = plan_faults(3, count)
    assert len(planned) == count
    assert [fault.at_s for fault in planned] == sorted(fault.at_s for fault in planned)


def test_a_hundred_faults_contain_every_kind_and_at_most_two_long_outages():
    for seed in range(20):
        counts = Counter(fault.kind for fault in plan_faults(seed, 100))
        assert counts.keys() == WEIGHTS.keys()
        assert all(counts[kind] <= 2 for kind in RARE)


def test_only_a_long_run_stops_the_broker_for_a_minute():
    for count in (LONG_RUN - 1, LONG_RUN):
        (outage, *_) = [fault for fault in plan_faults(3, count) if fault.kind == "broker_stopped"]
        assert (outage.lasts_s == OUTAGE_S) is (count == LONG_RUN)


@pytest.mark.slow
def test_poison_and_duplicates_are_part_of_the_messages_of_both_runs():
    planned = plan_faults(1, 100)
    first, second = (build_messages(1, planned, planned[-1].at_s) for _ in range(2))
    assert first == second
    added = {message.fault for message in first} - {None}
    assert added == {number for number, fault in enumerate(planned) if fault.kind in ("poison", "duplicates")}


@pytest.mark.parametrize("kind", POISON)
def test_every_kind_of_poison_leads_to_a_dead_letter(kind):
    step = DetectStep(0, DetectSettings(), replay=True)
    outputs = step.step([RawMessage(RECORDS, 0, 0, START_MS, None, POISON[kind](START_MS))])
    assert DEAD_LETTERS in {output.topic for output in outputs}
