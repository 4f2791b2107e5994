import gc

import pytest

from pipeline.step import RawMessage
from topologies.kafka import Cluster
from topologies.metrics import WorkerMetrics
from topologies.runtime.garbage_collection import collection_paused, freeze_modules
from topologies.runtime.partition import PartitionWorker
from topologies.runtime.topology_spec import TopologySpec


class CollectingStep:
    """A step that makes far more objects than start a collection, and notes whether there was one."""

    def __init__(self, _partition):
        self.collections = []

    def step(self, _messages):
        before = gc.get_stats()
        _ = [[] for _ in range(20 * gc.get_threshold()[0])]
        self.collections.append(gc.get_stats() != before)
        return []


def test_a_batch_is_processed_without_a_collection():
    spec, cluster = TopologySpec("detect", ("t",), CollectingStep), Cluster("127.0.0.1:1")
    worker = PartitionWorker(spec, cluster, "group", 0, WorkerMetrics(spec.name, None))
    for offset in range(3):
        worker.step("t", [RawMessage("t", 0, offset, 0, None, b"{}")])
    assert worker._step.collections == [False, False, False]
    worker._step.step([])
    assert worker._step.collections[-1]


def test_an_error_does_not_turn_collections_off():
    with pytest.raises(ValueError, match="trial"), collection_paused():
        raise ValueError("trial")
    assert gc.isenabled()


def test_objects_that_exist_at_the_start_are_not_visited():
    try:
        freeze_modules()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()
