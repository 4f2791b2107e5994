"""The chaos suite: the undisturbed run, the schedule of faults, the wait for the steps to catch up, and the report."""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load.chaos.comparison import RunOutcome, compare
from load.chaos.environment import (
    DISK_MIB,
    Environment,
    Say,
    disturbed_environment,
    find_unavailable,
    wait_until_settled,
    write_deployments,
)
from load.chaos.faults import ChaosFault, disturb
from load.chaos.schedule import LONG_RUN, WEIGHTS, plan_faults
from load.chaos.schedule_clock import ScheduleClock
from load.chaos.workload import CYCLE_S, Workload, build_workload
from load.chaos.workload_producer import WorkloadProducer
from load.harness import temporary_topology, wait_for_lag
from topologies.configuration import Configuration, KafkaSettings
from topologies.processes import STEPS

SESSION_TIMEOUT_S = 10.0
"""Session of the workers, in seconds. If it is shorter, workers lose partitions when other programs use the machine."""

TAIL_S = 10.0
"""Seconds from the start of the last fault until the last record is sent."""


@dataclass(slots=True)
class ChaosReport:
    """Result of a run. :meth:`problems` is empty if all checks pass."""

    seed: int
    faults: int
    records: int = 0
    by_kind: dict[str, dict[str, int]] = field(default_factory=dict)
    not_available: dict[str, str] = field(default_factory=dict)
    never_struck: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    alerts: int = 0
    alerts_equal: bool = False
    records_unaccounted: int = 0
    outputs_twice: int = 0
    outputs_lost: int = 0
    checkpoints: int = 0
    torn_checkpoints: int = 0
    stuck: list[str] = field(default_factory=list)
    seconds_to_lag_zero: float | None = None
    worker_deaths: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def struck(self) -> int:
        """Number of faults that took effect."""
        return sum(kind["struck"] for kind in self.by_kind.values())

    def problems(self) -> list[str]:
        """Return one line per failed check."""
        checks = {
            "the alerts differ from those of the undisturbed run": not self.alerts_equal,
            f"{self.records_unaccounted} records are unaccounted for": self.records_unaccounted,
            f"{self.outputs_twice} outputs were written twice": self.outputs_twice,
            f"{self.outputs_lost} outputs were lost": self.outputs_lost,
            f"{self.torn_checkpoints} checkpoints are torn": self.torn_checkpoints,
            f"stuck: {', '.join(self.stuck)}": self.stuck,
            f"faults without effect: {', '.join(self.never_struck)}": self.never_struck and self.faults >= LONG_RUN,
            "the outcome differs, see the differences": self.differences,
        }
        return [line for line, has_failed in checks.items() if has_failed]

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "seed": self.seed,
            "faults": self.faults,
            "faults_that_struck": self.struck,
            "faults_by_kind": self.by_kind,
            "faults_not_available": self.not_available,
            "kinds_that_never_struck": self.never_struck,
            "faults_that_missed": self.missed,
            "records": self.records,
            "alerts": self.alerts,
            "alerts_equal": int(self.alerts_equal),
            "records_unaccounted": self.records_unaccounted,
            "outputs_twice": self.outputs_twice,
            "outputs_lost": self.outputs_lost,
            "checkpoints": self.checkpoints,
            "torn_checkpoints": self.torn_checkpoints,
            "stuck": len(self.stuck),
            "stuck_workers": self.stuck,
            "seconds_to_lag_zero": self.seconds_to_lag_zero,
            "worker_deaths": self.worker_deaths,
            "tracebacks": self.tracebacks,
            "differences": self.differences,
            "problems": self.problems(),
            "duration_s": round(self.duration_s, 1),
        }


async def run_chaos(seed: int, count: int, *, folder: Path | None = None, say: Say = lambda _: None) -> ChaosReport:
    """Run the faults of a seed, and compare the outcome with that of an undisturbed run.

    Parameters
    ----------
    seed
        Seed of the schedule and the records.
    count
        Number of faults.
    folder
        Empty folder for the data and logs of the disturbed run, which is kept. If None, a temporary folder is used and
        removed.
    say
        Callback that receives one line per step of the run.

    Raises
    ------
    DriftwireError
        If a topology cannot be started.
    """
    started_s = time.monotonic()
    unavailable = find_unavailable()
    planned = plan_faults(seed, count)
    kinds = {fault.kind for fault in planned}
    report = ChaosReport(seed, count)
    report.not_available = {kind: why for kind, why in unavailable.items() if kind in kinds or kind not in WEIGHTS}
    for kind, why in report.not_available.items():
        say(f"not available on this machine: {kind} ({why})")
    run_s = planned[-1].at_s + TAIL_S
    configuration = Configuration(kafka=KafkaSettings(session_timeout_s=SESSION_TIMEOUT_S))
    cycles = max(1, round(run_s / CYCLE_S))
    workload = build_workload(seed, configuration.detect, planned, run_s, cycles=cycles)
    report.records = sum(message.records for message in workload.messages)
    with tempfile.TemporaryDirectory(prefix="driftwire-") as temporary:
        say(f"seed {seed}: undisturbed run of {len(workload.messages):,} messages")
        expected = await _run_undisturbed(configuration, workload)
        async with disturbed_environment(
            configuration,
            workload,
            folder or Path(temporary),
            clock=ScheduleClock(stops_in_outages=True),
            run_s=run_s,
            disk_mib=None if "disk_full" in unavailable else DISK_MIB,
        ) as environment:
            say(f"seed {seed}: the same messages with {count} faults, over {run_s:.0f} s and the outages")
            available = [(number, fault) for number, fault in enumerate(planned) if fault.kind not in unavailable]
            faults = await disturb(environment, [fault for _, fault in available], say)
            say("all faults have ended; waiting until no step has lag")
            report.stuck, report.seconds_to_lag_zero = await wait_until_settled(environment)
            found = await RunOutcome.read(environment.broker.cluster, configuration.detect)
            await environment.ledger.read_to_end()
            report.stuck += [f"{name} did not stop within its time limit" for name in await environment.stop_workers()]
        _count_added_messages(faults, [number for number, _ in available], workload, environment, found)
        _report_strikes(report, faults)
        _report_outcome(report, environment, expected, found)
    report.duration_s = time.monotonic() - started_s
    return report


async def _run_undisturbed(configuration: Configuration, workload: Workload) -> RunOutcome:
    async with temporary_topology(configuration, baselines=workload.baselines, workers=STEPS) as topology:
        await write_deployments(topology.cluster, workload)
        await WorkloadProducer(topology.cluster, workload.messages).run()
        await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id)
        return await RunOutcome.read(topology.cluster, configuration.detect)


def _count_added_messages(
    faults: Sequence[ChaosFault],
    numbers: Sequence[int],
    workload: Workload,
    environment: Environment,
    found: RunOutcome,
) -> None:
    """Count the poison and duplicate faults that took effect, from dead letters and from the counts of detect."""
    letters = {(letter["partition"], letter["offset"]) for letter in found.dead_letters if letter["step"] == "detect"}
    written = list(zip(workload.messages, environment.producer.offsets, strict=True))
    by_number = dict(zip(numbers, faults, strict=True))
    sent_twice = sum(
        message.fault is not None and by_number[message.fault].planned.kind == "duplicates" for message, _ in written
    )
    dropped = sum(counts["duplicates"] for counts in found.counts)
    for number, fault in by_number.items():
        added = [(message.partition, offset) for message, offset in written if message.fault == number]
        if fault.planned.kind == "poison":
            fault.struck = int(any(place in letters for place in added))
        elif fault.planned.kind == "duplicates":
            fault.struck = int(bool(added) and dropped >= sent_twice)


def _report_strikes(report: ChaosReport, faults: Sequence[ChaosFault]) -> None:
    planned = Counter(fault.planned.kind for fault in faults)
    struck = Counter(fault.planned.kind for fault in faults if fault.struck)
    report.by_kind = {kind: {"planned": planned[kind], "struck": struck[kind]} for kind in sorted(planned)}
    report.missed = [f"{fault.planned.at_s:.1f} s {fault.name}" for fault in faults if not fault.struck]
    report.never_struck = [kind for kind in sorted(planned) if not struck[kind]]


def _report_outcome(report: ChaosReport, environment: Environment, expected: RunOutcome, found: RunOutcome) -> None:
    comparison = compare(expected, found, records=report.records, accepted=environment.receiver.accepted)
    ledger = environment.ledger
    report.alerts = len(expected.incidents())
    report.alerts_equal = comparison.alerts_equal
    report.records_unaccounted = comparison.records_unaccounted
    report.outputs_twice = comparison.outputs_twice
    report.outputs_lost = comparison.outputs_lost
    report.checkpoints, report.torn_checkpoints = ledger.count, ledger.torn
    report.differences = [*comparison.differences, *ledger.problems]
    report.worker_deaths = list(environment.fleet.deaths)
    report.tracebacks = environment.fleet.find_tracebacks()
