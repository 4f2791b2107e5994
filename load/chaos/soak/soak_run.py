"""A soak: many faults over a long time, after which no worker may use more memory, files or state than before.

Faults that end a worker are omitted, because a new process would hide a leak.
"""

import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load.chaos.comparison import RunOutcome
from load.chaos.environment import Say, disturbed_environment, find_unavailable, running, wait_until_settled
from load.chaos.faults import disturb
from load.chaos.schedule import OUTAGE_S, RARE, WEIGHTS, PlannedFault, fault_duration_s
from load.chaos.schedule_clock import ScheduleClock
from load.chaos.soak.resources import GROWTH_MAX, QUARTERS, RESOURCES, ResourceSamples, growth
from load.chaos.workload import build_workload
from pipeline.correlate.settings import CorrelateSettings
from pipeline.route import RouteSettings
from topologies.configuration import Configuration, KafkaSettings

GAP_S = 15.0
"""Seconds between the starts of two faults."""

OUTAGES = (3 / 8, 7 / 8)
"""Shares of the run after which the broker is down for a minute: halfway through the second and the last quarter."""

OUTAGE = "broker_stopped"

ENDING_A_WORKER = ("worker_killed", "worker_log_full", "worker_clock_jump")
"""Kinds of faults that end or restart a worker, or change the clock from which the age of a worker is computed."""

CYCLE_S = 200.0
"""Approximate seconds of a cycle of the workload. Each quarter of a long run has the same number of cycles."""

INCIDENTS_MAX = 10
"""Maximum number of incidents that a step stores. The workload soon reaches this limit and the next two, so later
growth indicates a leak."""

DRIFTS_MAX = 10
"""Maximum number of drifts, and of lines of evidence, per incident. Failures recur within the reopening window, so
incidents grow."""

LOG_ENTRIES_MAX = 10
"""Maximum number of lines in the running log of an incident."""

DISK_MIB = 2048
SESSION_TIMEOUT_S = 10.0


@dataclass(slots=True)
class SoakReport:
    """Result of a soak. :meth:`problems` is empty if nothing grew and nothing was lost."""

    seed: int
    duration_s: float
    faults: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    records: int = 0
    records_unaccounted: int = 0
    outputs_twice: int = 0
    checkpoints: int = 0
    ledger_problems: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    seconds_to_lag_zero: float | None = None
    worker_deaths: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    samples: ResourceSamples = field(default_factory=ResourceSamples)

    def largest(self) -> dict[str, list[int]]:
        """Return the largest sample of each resource by quarter."""
        return {
            resource.name: self.samples.largest_by_quarter(self.samples.totals(resource.name), self.duration_s)
            for resource in RESOURCES
        }

    def problems(self) -> list[str]:
        """Return one line per resource that grew and per broken guarantee."""
        grown = {name: growth(largest) for name, largest in self.largest().items()}
        return [
            *(
                f"{name} grew to {ratio} times the second quarter"
                for name, ratio in grown.items()
                if ratio > GROWTH_MAX
            ),
            *([f"{self.records_unaccounted} records are unaccounted for"] if self.records_unaccounted else []),
            *([f"{self.outputs_twice} outputs were written twice"] if self.outputs_twice else []),
            *(f"stuck: {line}" for line in self.stuck),
            *self.ledger_problems,
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        largest = self.largest()
        return {
            "seed": self.seed,
            "duration_s": round(self.duration_s, 1),
            "faults": len(self.faults),
            "faults_that_struck": len(self.faults) - len(self.missed),
            "faults_that_missed": self.missed,
            "records": self.records,
            "largest_by_quarter": largest,
            "largest_by_quarter_and_step": {
                name: {step: self.samples.largest_by_quarter(values, self.duration_s) for step, values in steps.items()}
                for name, steps in self.samples.by_step.items()
            },
            "growth": {name: growth(values) for name, values in largest.items()},
            "largest_checkpoint_disk_bytes_by_quarter": self.samples.largest_by_quarter(
                self.samples.disk_bytes, self.duration_s
            ),
            "records_unaccounted": self.records_unaccounted,
            "outputs_twice": self.outputs_twice,
            "checkpoints": self.checkpoints,
            "checkpoint_problems": self.ledger_problems,
            "stuck": len(self.stuck),
            "stuck_workers": self.stuck,
            "seconds_to_lag_zero": self.seconds_to_lag_zero,
            "worker_deaths": self.worker_deaths,
            "tracebacks": self.tracebacks,
            "problems": self.problems(),
        }


def plan_soak(seed: int, duration_s: float, unavailable: set[str]) -> list[PlannedFault]:
    """Return the schedule of a soak: one fault every :data:`GAP_S`, and two outages of up to a minute.

    >>> faults = plan_soak(1, 2400, set())
    >>> len(faults), [fault.at_s for fault in faults if fault.kind == "broker_stopped"]
    (159, [900.0, 2100.0])
    >>> faults == plan_soak(1, 2400, set())
    True
    """
    generator = random.Random(f"soak:{seed}")
    outages_s = [GAP_S * round(share * duration_s / GAP_S) for share in OUTAGES]
    kinds = [kind for kind in WEIGHTS if kind not in (OUTAGE, *ENDING_A_WORKER, *unavailable)]
    weights = [1 if kind in RARE else WEIGHTS[kind] for kind in kinds]
    faults = []
    for number in range(1, int(duration_s / GAP_S)):
        at_s = number * GAP_S
        kind = OUTAGE if at_s in outages_s else generator.choices(kinds, weights)[0]
        lasts_s = min(OUTAGE_S, duration_s / 40) if kind == OUTAGE else fault_duration_s(kind, generator)
        faults.append(PlannedFault(kind, at_s, lasts_s, f"{seed}:{number}:{kind}"))
    return faults


async def run_soak(
    seed: int, duration_s: float, *, folder: Path | None = None, say: Say = lambda _: None
) -> SoakReport:
    """Run a soak, and report the resources of the workers in each quarter.

    Parameters
    ----------
    seed
        Seed of the schedule and the records.
    duration_s
        Seconds from the start of the schedule to its end.
    folder
        Empty folder for the data and logs, which is kept. If None, a temporary folder is used and removed.
    say
        Callback that receives a line per step of the run.

    Raises
    ------
    DriftwireError
        If the topology cannot be started.
    """
    unavailable = find_unavailable()
    planned = plan_soak(seed, duration_s, set(unavailable))
    cycles = max(1, QUARTERS * round(duration_s / QUARTERS / CYCLE_S))
    configuration = Configuration(
        kafka=KafkaSettings(session_timeout_s=SESSION_TIMEOUT_S),
        correlate=CorrelateSettings(
            incidents_max=INCIDENTS_MAX, drifts_max=DRIFTS_MAX, evidence_max=DRIFTS_MAX, log_entries_max=LOG_ENTRIES_MAX
        ),
        route=RouteSettings(incidents_max=INCIDENTS_MAX),
    )
    workload = build_workload(seed, configuration.detect, planned, duration_s, cycles=cycles)
    report = SoakReport(seed, duration_s, records=sum(message.records for message in workload.messages))
    report.outages = [(fault.at_s, fault.at_s + fault.lasts_s) for fault in planned if fault.kind == OUTAGE]
    with tempfile.TemporaryDirectory(prefix="driftwire-") as temporary:
        async with disturbed_environment(
            configuration,
            workload,
            folder or Path(temporary),
            clock=ScheduleClock(stops_in_outages=False),
            run_s=duration_s,
            disk_mib=None if "disk_full" in unavailable else DISK_MIB,
        ) as environment:
            say(f"seed {seed}: {len(workload.messages):,} messages with {len(planned)} faults, over {duration_s:.0f} s")
            started_s = time.monotonic()
            async with running(report.samples.watch(environment)):
                faults = await disturb(environment, planned, say)
            report.duration_s = time.monotonic() - started_s
            say("all faults have ended; waiting until no step has lag")
            report.stuck, report.seconds_to_lag_zero = await wait_until_settled(environment)
            found = await RunOutcome.read(environment.broker.cluster, configuration.detect)
            await environment.ledger.read_to_end()
            report.stuck += [f"{name} did not stop within its time limit" for name in await environment.stop_workers()]
            report.tracebacks = environment.fleet.find_tracebacks()
    report.faults = [fault.name for fault in faults]
    is_message = ("poison", "duplicates")
    report.missed = [
        f"{fault.planned.at_s:.0f} s {fault.name}"
        for fault in faults
        if not fault.struck and fault.planned.kind not in is_message
    ]
    report.records_unaccounted = found.count_unaccounted(report.records)
    report.outputs_twice = sum(len(identities) for identities in found.repeated_outputs().values())
    report.checkpoints, report.ledger_problems = environment.ledger.count, environment.ledger.problems
    report.worker_deaths = list(environment.fleet.deaths)
    return report
