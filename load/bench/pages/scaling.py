"""The page of the scaling: what larger loads need, calculated from the reports of the benchmarks."""

import math
from dataclasses import dataclass
from typing import Any

from load.bench.pages.reports import Reports, describe_report
from load.errors import LoadError
from pipeline.detect.settings import DetectSettings

NEEDED = ("detect", "subjects", "memory", "recovery", "workers")

UTILIZATION = 0.6
"""Share of a core that a worker may use at the planned rate. The rest is for backlogs and restarts."""

HOUR_S, DAY_S = 3600.0, 86_400.0

MANY_SUBJECTS = 100_000

LOADS = ((1_000, 100), (10_000, 1_000), (10_000, 10_000), (100_000, 10_000), (100_000, 100_000), (1_000_000, 100_000))
"""Records per second and subjects of the table."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs.

    Attributes
    ----------
    processor_us
        Processor time per record in microseconds, by records per second of a subject.
    record_bytes
        Mean bytes of a record.
    stream_kb
        Resident memory of a ready stream in kB.
    baseline_kb
        Size of a baseline in kB.
    restart_s
        Seconds until a worker with ``restart_streams`` streams has judged its first record.
    """

    processor_us: dict[float, float]
    record_bytes: float
    stream_kb: float
    baseline_kb: float
    restart_s: float
    restart_streams: int

    def record_us(self, rate: float) -> float:
        """Return the cost of a record whose subject sends ``rate`` records per second: that of the next lower rate."""
        measured = [known for known in self.processor_us if known <= rate] or [min(self.processor_us)]
        return self.processor_us[max(measured)]


def read_costs(reports: Reports) -> Costs:
    """Return the costs in the reports.

    Raises
    ------
    LoadError
        If a report is missing.
    """
    if missing := [bench for bench in NEEDED if bench not in reports]:
        raise LoadError(
            f"the page of the scaling needs the reports of bench {', '.join(missing)}: write them with --json"
        )
    detect, subjects, memory, recovery = (reports[bench] for bench in ("detect", "subjects", "memory", "recovery"))
    largest = max(memory["sizes"])
    return Costs(
        processor_us={case["records_per_subject_s"]: case["processor_us"] for case in subjects["subjects"].values()},
        record_bytes=detect["record_bytes"],
        stream_kb=memory[f"kb_per_stream_{largest}"],
        baseline_kb=recovery["baseline_kb"],
        restart_s=recovery["seconds_to_first_judged"],
        restart_streams=recovery["subjects"],
    )


def write_scaling(reports: Reports) -> str:
    """Return the page as Markdown.

    Raises
    ------
    LoadError
        If a report is missing.
    """
    costs = read_costs(reports)
    subjects, subjects_max = reports["subjects"], DetectSettings().subjects_max
    return PAGE.format(
        utilization=UTILIZATION,
        costs=_cost_rows(costs),
        loads=_load_rows(costs),
        processor_ratio=reports["workers"]["processor_ratio"],
        stream_kb=costs.stream_kb,
        baseline_kb=costs.baseline_kb,
        record_bytes=costs.record_bytes,
        many=MANY_SUBJECTS,
        subjects_max=subjects_max,
        partition_gb=subjects_max * costs.stream_kb / 1e6,
        baselines_gb=MANY_SUBJECTS * costs.baseline_kb / 1e6,
        checkpoint_subjects=subjects["checkpoint_subjects"],
        checkpoint_mb_per_s=subjects["checkpoint_mb_per_s"],
        checkpoint_time_share=subjects["checkpoint_time_share"],
        correlate=_describe_correlate(reports.get("correlate")),
        restart_streams=costs.restart_streams,
        restart_s=costs.restart_s,
        runs="\n".join(f"- {describe_report(reports[bench])}" for bench in NEEDED),
    )


PAGE = """# Scaling

This page plans for larger loads. `driftwire-load bench pages` calculates it from the reports in [performance](performance),
which were measured on one small machine. Measure your own machine with the commands at the end.

A detect worker is one process on one core. It reads whole partitions, so a topic needs at least as many partitions as
workers. Workers share nothing but Kafka. The plans below use {utilization:.0%} of a core, so that a worker can catch up
after a restart.

## Cost of a record

The processor time of the detect worker per record, with everything on. Records of quiet subjects cost more, because the
cost of a block of records does not fall as much as its size.

| records per second of a subject | core seconds per million records | core hours a day per thousand subjects |
|---|---|---|
{costs}

Two workers need {processor_ratio:g} times the processor time per record of one. A ready stream needs {stream_kb:,.0f} kB
of memory, and its baseline {baseline_kb:,.0f} kB on the topic of baselines. A record has {record_bytes:,.0f} bytes.

## What a load needs

| records/s | subjects | cores | workers | streams per worker | memory per worker, MB | records, MB/s | restart, s |
|---|---|---|---|---|---|---|---|
{loads}

The number of workers is the minimum number of partitions. Memory is that of the streams, without the worker itself. The
restart is that of one worker: as measured, or in proportion to its streams if it has more. Kafka stores the bytes of the records times the replication
factor for the retention of the topic, and sends them again to each group of readers.

## Partitions and keys

- **Partitions**: `kafka.records_partitions` is the largest number of detect workers. Start with twice the workers that you
  need today. `driftwire topics grow` adds partitions later.
- **Keys**: use the subject as the key. All its records are then in one partition and one stream, and one worker sees the
  complete subject.
- **Hot subjects**: spread a subject that needs more than one core with the keys `subject#0` to `subject#n`. Each partition
  has its own stream of the subject with the same baseline, and tests its share of the records. Correlate makes one incident
  of the drifts.
- **Many subjects**: a stream costs memory and state even if it is quiet. `detect.subjects_max` limits the streams of a
  partition to {subjects_max:,}. If all of them are ready, they need {partition_gb:.1f} GB, so set it to what the memory allows:
  records of further subjects become dead letters. [Metrics](limits.md) show in advance how full a partition is. Prefer one
  subject per service, with segments for its regions and tenants: a segment value costs much less than a subject.
- **Records without a key** are distributed over all partitions. Each partition then has a stream of every subject, so
  memory is multiplied by the number of partitions. Do not send records of many subjects without a key.

## What breaks first

1. **Processor time of quiet subjects**: the same records cost more if they come from more subjects. Where possible, use
   fewer subjects with segments.
2. **The topic of baselines**: it has one partition, and every worker reads all of it when it starts. With {many:,} subjects
   it has {baselines_gb:,.1f} GB. For a larger fleet, use separate clusters, or separate sets of topics, for parts of it.
3. **Streams per partition**: raise `detect.subjects_max`, or add partitions, before the limit is reached.
   `driftwire_limit_used_ratio` shows how near it is.
4. **Checkpoints**: with {checkpoint_subjects:,} subjects at its highest rate, a worker writes {checkpoint_mb_per_s:g} MB/s of
   checkpoints, which take {checkpoint_time_share:.1%} of its processor time. Kafka compacts them in the background, and
   needs several times the state on disk.
5. **correlate and route**: each is one process for the whole cluster, because incidents join the drifts of several
   subjects.{correlate}
6. **A rebalance**: when a worker starts or stops, partitions move, and their new owner reads their streams. A worker with
   {restart_streams:,} streams took {restart_s:g} s. Keep the number of workers constant, and replace them one at a time.

## Measured by

{runs}
"""


def _cost_rows(costs: Costs) -> str:
    return "\n".join(
        f"| {rate:,.0f} | {record_us:,.1f} | {1000 * rate * DAY_S * record_us / 1e6 / HOUR_S:,.1f} |"
        for rate, record_us in sorted(costs.processor_us.items(), reverse=True)
    )


def _load_rows(costs: Costs) -> str:
    rows = []
    for rate, subjects in LOADS:
        cores = rate * costs.record_us(rate / subjects) / 1e6
        workers = math.ceil(cores / UTILIZATION)
        streams = math.ceil(subjects / workers)
        memory_mb = streams * costs.stream_kb / 1000
        restart_s = costs.restart_s * max(1.0, streams / costs.restart_streams)
        rows.append(
            f"| {rate:,} | {subjects:,} | {cores:,.1f} | {workers:,} | {streams:,} | {memory_mb:,.0f} | "
            f"{rate * costs.record_bytes / 1e6:,.1f} | {restart_s:,.0f} |"
        )
    return "\n".join(rows)


def _describe_correlate(report: dict[str, Any] | None) -> str:
    cost_us = None if report is None else report.get("cost_per_drift_us_5000")
    if cost_us is None:
        return ""
    return (
        f" With 5,000 open incidents a drift costs {cost_us:,.0f} us, so one core takes {1e6 / cost_us:,.0f} drifts/s."
    )
