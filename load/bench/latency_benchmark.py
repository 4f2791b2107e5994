"""Benchmark of the delay from a record to the alert that it causes, while a fleet sends records at its normal rate.

Services fail one after another. A delay begins when the broker appends the record whose evidence crosses the threshold
of the test, and ends when the broker appends the first incident with this drift. Beside it are the delay to the drift, and
the delay from the start of the failure, which contains the records that the test needs. A failure that is not found
counts as infinite.
"""

import asyncio
import math
import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from rich.console import Console

from load.bench.measurement import FilledTopic, SimulatedFleet, filled_topic, judged_problems, running_workers
from load.harness import run_against, wait_for_lag
from load.traffic import produce
from pipeline.detect.offline import read_drifts
from schemas.drift import Drift
from schemas.topics import ALERTS, DRIFTS, RECORDS, topic
from topologies.kafka import Cluster, read_topic

STEPS = ("detect", "correlate")

LEAD_S = 4.0
"""Seconds from the start of the workers to the first record, while the records are prepared."""

FIRST_FAILURE_SHARE = 0.3
"""Share of the records before the first service fails."""

REST_SHARE, REST_S = 0.15, 8.0
"""Minimum share of the records, and minimum seconds, after the last service fails."""

LATE_SHARE_MAX = 0.05
"""Maximum share by which sending the records may take longer than planned."""


@dataclass(frozen=True, slots=True)
class FailureDelays:
    """Delays of one planted failure in seconds; infinite if it was not found.

    ``alert_s`` and ``drift_s`` begin at the record whose evidence crosses the threshold, ``since_start_s`` at the failure.
    """

    drift_s: float = math.inf
    alert_s: float = math.inf
    since_start_s: float = math.inf


def live_fleet(seed: int, subjects: int, rate: float, seconds: float, failures: int) -> SimulatedFleet:
    """Return a fleet that sends records in real time, and of which some services fail one after another."""
    last_share = max(FIRST_FAILURE_SHARE, 1.0 - max(REST_SHARE, REST_S / seconds))
    return SimulatedFleet(
        seed,
        subjects,
        rate,
        records=round(rate * seconds),
        start_ms=time.time_ns() // 1_000_000,
        failing=failures,
        failure_shares=(FIRST_FAILURE_SHARE, last_share),
    )


async def run_latency_benchmark(fleet: SimulatedFleet, console: Console) -> dict[str, Any]:
    """Send the records of a fleet at their pace, and return the report of the delays.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    async with filled_topic(fleet, console, with_records=False) as filled:
        kafka = filled.kafka
        await _stamp_by_broker(kafka.cluster, (DRIFTS, ALERTS))
        async with running_workers(kafka.configuration, filled.folder, steps=STEPS) as topology:
            fleet, seconds = await run_against(topology, _send(filled, console))
            console.print("waiting for the last alerts")
            await run_against(topology, wait_for_lag(kafka.cluster, kafka.configuration.kafka.app_id, steps=STEPS))
            # The last drifts may cross their thresholds in a block that ends only now.
            await asyncio.sleep(kafka.configuration.detect.flush_after_s)
        async with aclosing(read_topic(kafka.cluster, DRIFTS)) as messages:
            drifts = [(message.timestamp, drift) async for message in messages for drift in read_drifts([message])]
        delays = await _read_delays(kafka.cluster, fleet, drifts)
        judged_share, problems, _ = await judged_problems(filled)
    problems += fleet.problems([drift for _, drift in drifts], filled.partitions)
    found = sum(math.isfinite(delay.alert_s) for delay in delays)
    if found < fleet.failing:
        problems.append(f"only {found} of {fleet.failing} planted failures were alerted")
    # At night, a simulated service sends fewer records per second than on average.
    planned_s = (fleet.time_ms_at(1.0) - fleet.start_ms) / 1000
    if seconds > planned_s * (1 + LATE_SHARE_MAX) + 1:
        problems.append(
            f"the records took {seconds:.0f} s instead of {planned_s:.0f} s: this machine is too slow for them"
        )
    return {
        **_quantiles("", [delay.alert_s for delay in delays]),
        **_quantiles("drift_", [delay.drift_s for delay in delays]),
        **_quantiles("since_start_", [delay.since_start_s for delay in delays]),
        "failures": fleet.failing,
        "found": found,
        "judged_share": round(judged_share, 5),
        "planted_found": found == fleet.failing,
        "problems": problems,
        "subjects": fleet.subjects,
        "records_per_s": fleet.records_per_second,
        "records": fleet.records,
    }


async def _send(filled: FilledTopic, console: Console) -> tuple[SimulatedFleet, float]:
    """Send the records, the first one now. Return the fleet with the times, and the seconds that it took."""
    fleet = replace(filled.fleet, start_ms=time.time_ns() // 1_000_000 + int(LEAD_S * 1000))
    at_ms = fleet.failure_at_ms[fleet.failing - 1]  # computes the times of all failures before the first record
    console.print(
        f"sending {fleet.records_per_second:g} records/s of {fleet.subjects} subjects for "
        f"{fleet.records / fleet.records_per_second:.0f} s; the last failure begins after "
        f"{(at_ms - fleet.start_ms) / 1000:.0f} s"
    )
    await asyncio.sleep(max(0.0, fleet.start_ms / 1000 - time.time()))
    produced = await produce(filled.kafka.cluster, fleet.messages(filled.partitions), speed=1.0)
    return fleet, produced.seconds


async def _stamp_by_broker(cluster: Cluster, topics: Iterable[str]) -> None:
    """Let the broker set the times of the messages, as it does for records."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        await admin.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    name,
                    configs={"message.timestamp.type": "LogAppendTime", "cleanup.policy": topic(name).cleanup},
                )
                for name in topics
            ]
        )
    finally:
        await admin.close()


async def _read_delays(
    cluster: Cluster, fleet: SimulatedFleet, drifts: Iterable[tuple[int, Drift]]
) -> list[FailureDelays]:
    """Return the delays of the failing services, from the drifts and their append times in Unix ms."""
    failed_ms = dict(zip(fleet.names[: fleet.failing], fleet.failure_at_ms.tolist(), strict=False))
    pages: dict[str, tuple[Drift, int]] = {}
    for appended, drift in drifts:
        if drift.subject in failed_ms and fleet.is_page(drift):
            pages.setdefault(drift.subject, (drift, appended))
    alerted_ms: dict[str, int] = {}
    async with aclosing(read_topic(cluster, ALERTS)) as messages:
        async for message in messages:
            for evidence in orjson.loads(message.value or b"{}").get("evidence", ()):
                alerted_ms.setdefault(evidence["drift_id"], message.timestamp)
    appended_ms = await _read_append_times(cluster, {drift.request_id or "" for drift, _ in pages.values()})
    delays = []
    for subject, at_ms in failed_ms.items():
        if subject not in pages:
            delays.append(FailureDelays())
            continue
        drift, drift_ms = pages[subject]
        record_ms, alert_ms = appended_ms[drift.request_id or ""], alerted_ms.get(drift.drift_id, math.inf)
        delays.append(
            FailureDelays((drift_ms - record_ms) / 1000, (alert_ms - record_ms) / 1000, (alert_ms - at_ms) / 1000)
        )
    return delays


async def _read_append_times(cluster: Cluster, request_ids: set[str]) -> dict[str, int]:
    """Return the append time of the records with the given request ids, in Unix ms."""
    found: dict[str, int] = {}
    start = b'"request_id":"'
    async with aclosing(read_topic(cluster, RECORDS)) as messages:
        async for message in messages:
            request_id = (message.value or b"").partition(start)[2].partition(b'"')[0].decode()
            if request_id in request_ids:
                found[request_id] = message.timestamp
    return found


def _quantiles(prefix: str, delays: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum. The percentile is a delay that occurred, so that it may be infinite."""
    p50, p99, largest = np.quantile(delays, (0.5, 0.99, 1.0), method="higher").tolist()
    return {f"{prefix}p50_s": round(p50, 3), f"{prefix}p99_s": round(p99, 3), f"{prefix}largest_s": round(largest, 3)}
