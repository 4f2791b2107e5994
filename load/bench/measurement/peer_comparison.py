"""Comparison of detect with peers on one filled topic, in rounds, with the proof that detect did its work."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from load.bench.measurement.filled_topic import FilledTopic
from load.bench.measurement.judged import judged_problems
from load.bench.measurement.peers import PEERS, run_peer
from load.bench.measurement.timed_run import TimedRun, run_timed
from load.harness import run_against

Say = Callable[[str], None]


@dataclass
class PeerComparison:
    """Rates of detect and of peers on one topic, by round.

    Attributes
    ----------
    runs
        Timed runs of detect.
    peers
        Records per second of each peer, by name, in each round.
    before
        Timed runs of another version.
    judged_share
        Lowest share of the signal values that were monitored.
    planted_found
        Whether every run reported the planted failure.
    problems
        Why the comparison proves nothing, one sentence per problem.
    """

    runs: list[TimedRun] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    before: list[TimedRun] = field(default_factory=list)
    judged_share: float = 0.0
    planted_found: bool = False
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def combine(comparisons: "Mapping[str, PeerComparison]") -> dict[str, Any]:
        """Return the lowest judged share, whether all found the failure, and all problems, for a report."""
        return {
            "judged_share": round(min(comparison.judged_share for comparison in comparisons.values()), 5),
            "planted_found": all(comparison.planted_found for comparison in comparisons.values()),
            "problems": [
                f"{name}: {problem}" for name, comparison in comparisons.items() for problem in comparison.problems
            ],
        }

    @property
    def records_per_s(self) -> float:
        """Median rate of detect."""
        return median(run.records_per_s for run in self.runs)

    @property
    def processor_us(self) -> float:
        """Median processor time of detect per record, in microseconds."""
        return median(run.processor_us for run in self.runs)

    def ratio_to(self, peer: str) -> float | None:
        """Return the median rate of detect divided by that of a peer, or None if the peer was not measured."""
        rates = self.peers.get(peer)
        return self.records_per_s / median(rates) if rates else None

    @property
    def ratio_to_before(self) -> float | None:
        """Median rate of detect divided by that of the other version, or None without one."""
        return self.records_per_s / median(run.records_per_s for run in self.before) if self.before else None

    async def run_round(
        self,
        topic: FilledTopic,
        name: str,
        *,
        say: Say,
        peers: Sequence[str] = (),
        checkout: Path | None = None,
        workers: int = 1,
        interval_factor: float = 1.0,
    ) -> None:
        """Time the peers, another version and detect in turn. Peers that are not installed are left out.

        Parameters
        ----------
        topic
            The filled topic.
        name
            Name of the round. It must be the only one of the topic.
        say
            Receives a line per run.
        peers
            Names of peers.
        checkout
            Folder with the sources of another version of detect, or None.
        workers, interval_factor
            Number of detect workers, and factor of the seconds between their checkpoints.

        Raises
        ------
        DriftwireError
            If the broker, a worker or a peer fails.
        """
        kafka, records = topic.kafka, topic.fleet.records
        for peer in peers:
            if not PEERS[peer].is_installed:
                say(f"{PEERS[peer].title}: not installed, so not measured (make peers)")
                continue
            reading = run_peer(peer, kafka.cluster.bootstrap, partitions=topic.partitions, records=records)
            rate = await run_against(kafka, reading)
            self.peers[peer].append(rate)
            say(f"round {name}: {PEERS[peer].title}: {rate:,.0f} records/s")
        if checkout is not None:
            timing = run_timed(
                kafka,
                topic.folder,
                records=records,
                name=f"{name}-before",
                say=say,
                subjects=topic.fleet.subjects,
                checkout=checkout,
            )
            self.before.append(await run_against(kafka, timing))
            say(f"round {name}: detect of {checkout}: {self.before[-1]}")
        # The run of detect is the last, so its checkpoints and drifts remain.
        timing = run_timed(
            kafka,
            topic.folder,
            records=records,
            name=name,
            say=say,
            subjects=topic.fleet.subjects,
            workers=workers,
            interval_factor=interval_factor,
        )
        self.runs.append(await run_against(kafka, timing))
        say(f"round {name}: detect, {topic.fleet.subjects} subjects: {self.runs[-1]}")

    async def finish(self, topic: FilledTopic) -> None:
        """Set the judged share of the last run, and the problems of all runs."""
        self.judged_share, problems, _ = await judged_problems(topic)
        self.planted_found = bool(self.runs)
        for run in self.runs:
            missing = topic.fleet.problems(run.drifts, topic.partitions)
            self.planted_found = self.planted_found and not missing
            problems += missing
        if any(run.dead_letters for run in self.runs):
            problems.append("records became dead letters")
        self.problems = list(dict.fromkeys(problems))

    def to_json(self) -> dict[str, Any]:
        """Return the ratios, the rates of all rounds, and the proof."""
        ratios = {f"ratio_to_{peer}": _rounded(self.ratio_to(peer)) for peer in PEERS if peer in self.peers}
        before = {} if self.ratio_to_before is None else {"ratio_to_before": round(self.ratio_to_before, 3)}
        return (
            ratios
            | before
            | {
                "records_per_s": round(self.records_per_s),
                "processor_us": round(self.processor_us, 2),
                "judged_share": round(self.judged_share, 5),
                "planted_found": self.planted_found,
                "problems": self.problems,
                "runs": [run.to_json() for run in self.runs],
                "commands": {peer: PEERS[peer].command for peer in self.peers},
                "peers": {peer: [round(rate) for rate in rates] for peer, rates in self.peers.items()},
                "before": [run.to_json() for run in self.before],
            }
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
