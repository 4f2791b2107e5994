"""Benchmark of the restart of a detect worker with many streams, until it has judged the first new record.

The time begins when the process is started. It ends when the worker has committed the first record that arrived while it
was stopped, which is soon after the record was judged, because checkpoints are frequent after the restart.
"""

import time
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from rich.console import Console

from load.bench.measurement import (
    FilledTopic,
    SimulatedFleet,
    filled_topic,
    judged_problems,
    running_workers,
    watch_committed,
)
from load.harness import run_against
from load.traffic import produce
from topologies.configuration import Configuration
from topologies.processes import Topology

NEW_RECORDS_PER_SUBJECT = 2
"""Records of each subject that arrive while the worker is stopped."""

CHECKPOINT_INTERVAL_S = 0.1
"""Seconds between checkpoints after the restart, so that the first record is committed soon after it was judged."""


async def run_recovery_benchmark(fleet: SimulatedFleet, console: Console) -> dict[str, Any]:
    """Stop a worker that has read all records of a fleet, send more records, restart it, and return the report.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    async with filled_topic(fleet, console) as topic:
        configuration = topic.kafka.configuration
        async with running_workers(configuration, topic.folder) as topology:
            console.print("reading all records")
            await run_against(topology, _wait_for_records(topology, fleet.records))
        new_records = NEW_RECORDS_PER_SUBJECT * fleet.subjects
        later = replace(fleet.next_part(), records=new_records)
        await produce(topic.kafka.cluster, later.messages(topic.partitions))
        console.print("restarting")
        first_s, all_s, ready_s = await _restart(
            topic, _with_frequent_checkpoints(configuration), fleet.records, new_records
        )
        judged_share, problems, _ = await judged_problems(topic)
    return {
        "seconds_to_first_judged": round(first_s, 2),
        "seconds_to_ready": round(ready_s, 2),
        "seconds_to_all_judged": round(all_s, 2),
        "baseline_kb": round(topic.baseline_bytes / 1000, 1),
        "judged_share": round(judged_share, 5),
        "problems": problems,
        "subjects": fleet.subjects,
        "records": fleet.records,
    }


async def _wait_for_records(topology: Topology, records: int) -> None:
    kafka = topology.configuration.kafka
    async with aclosing(watch_committed(kafka.cluster, f"{kafka.app_id}-detect")) as committed:
        async for _, total in committed:
            if total >= records:
                return


def _with_frequent_checkpoints(configuration: Configuration) -> Configuration:
    kafka = configuration.kafka.model_copy(update={"checkpoint_interval_s": CHECKPOINT_INTERVAL_S})
    return configuration.model_copy(update={"kafka": kafka})


async def _restart(
    topic: FilledTopic, configuration: Configuration, old_records: int, new_records: int
) -> tuple[float, float, float]:
    """Return the seconds from the start of the worker to the first and to all new records, and until it was ready."""
    started_s = time.monotonic()

    async def watch(topology: Topology) -> tuple[float, float]:
        first_s = 0.0
        group = f"{configuration.kafka.app_id}-detect"
        async with aclosing(watch_committed(topology.cluster, group)) as committed:
            async for now_s, total in committed:
                if total > old_records and not first_s:
                    first_s = now_s - started_s
                if total >= old_records + new_records:
                    return first_s, now_s - started_s
        raise AssertionError

    async with running_workers(configuration, topic.folder) as topology:
        ready_s = time.monotonic() - started_s
        first_s, all_s = await run_against(topology, watch(topology))
    return first_s, all_s, ready_s
