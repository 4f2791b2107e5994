"""Fleet of simulated services whose records fill a topic, with a baseline per service and a planted failure.

All services share one simulated world, so its load reaches all of them. Each has its own typical latencies and lengths,
and a baseline of its own. The records carry the 22 signals that the reference pipelines monitor, and two segments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import orjson
from numpy.typing import NDArray

from load.traffic import OutgoingMessage, partition_for_key
from load.world import SUBJECT, RecordColumns, SimulatedFailure, World, healthy_baseline, json_lines
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.drift import Drift
from topologies.configuration import Configuration

YARDSTICK_SIGNALS = (
    "latency_ms",
    "time_to_first_token_ms",
    "error",
    "input_tokens",
    "output_tokens",
    "queue_depth",
    "gpu_utilization",
    "cpu_utilization",
    "length",
    "refused",
    "confidence",
    "similarity",
    "empty",
    "thumbs_down",
    "retrieval_score",
    "feature_age_s",
    "null_fraction",
    "schema_valid",
    "filter_triggered",
    "policy_violation",
    "injection_score",
    "pii_detected",
)
"""Signals in every record. The reference pipelines monitor all of them."""

SCALED_SIGNALS = ("latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "length")
"""Signals whose typical value differs between services."""

SCALE_SPREAD = 0.3
"""Spread of the typical values between services, as the standard deviation of their logarithm."""

SHORT_RECORDS = 100_000
"""Number of records below which a run is short: its baseline is learned from fewer records, and it has more checkpoints,
because it would end before the second."""

SHORT_SAMPLE_RECORDS = 96
"""Number of records in each sample of a day of which the baseline of a short run is learned."""

START_TOLERANCE_MS = 10_000
"""Maximum milliseconds by which the estimated start may precede the failure."""


@dataclass(frozen=True)
class SimulatedFleet:
    """Services that send records at a common rate.

    Parameters
    ----------
    seed
        Seed of the records.
    subjects
        Number of services. The records of a single service are spread over all partitions.
    records_per_second
        Records of the whole fleet in a second of event time.
    records
        Number of records.
    start_ms
        Event time of the first record in Unix ms. The worker runs live, so it rejects old records.
    failing
        Number of services that fail.
    failure
        Name of the failure.
    failure_shares
        Shares of the records before the first and before the last service fails. The services fail one after another.
    segment_values
        Values of each of the segments ``region`` and ``tenant`` instead of the usual 3 and 5, or None.
    is_segmented
        Whether detect monitors segments.
    subjects_max
        Maximum number of subjects of a partition, or None for the default, if that has room for the services.
    part
        Number of this part of the records, if the same services send several parts one after another.
    """

    seed: int
    subjects: int
    records_per_second: float
    records: int
    start_ms: int
    failing: int = 1
    failure: str = "empty_output"
    failure_shares: tuple[float, float] = (0.7, 0.7)
    segment_values: int | None = None
    is_segmented: bool = True
    subjects_max: int | None = None
    part: int = 0

    @property
    def names(self) -> list[str]:
        """Subjects of the services."""
        return [SUBJECT] if self.subjects == 1 else [f"service-{number:06d}" for number in range(self.subjects)]

    @property
    def failure_signal(self) -> str:
        """The signal on which the failure is reported."""
        return SimulatedFailure(self.failure, 0).effects[0].signal

    @property
    def configuration(self) -> Configuration:
        """Configuration of the worker: all defaults, with room for the subjects of the fleet."""
        detect = DetectSettings()
        changes: dict[str, object] = {} if self.is_segmented else {"segments": ()}
        subjects_max = self.subjects_max or detect.subjects_max
        changes["subjects_max"] = max(subjects_max, self.subjects)
        return Configuration(detect=detect.model_copy(update=changes))

    @cached_property
    def failure_at_ms(self) -> NDArray[np.int64]:
        """Unix ms at which each service fails, shape ``(subjects,)``. Healthy services have the largest integer."""
        times = np.full(self.subjects, np.iinfo(np.int64).max)
        if self.failing:
            first, last = (self.time_ms_at(share) for share in self.failure_shares)
            times[: self.failing] = np.linspace(first, last, self.failing).astype(np.int64)
        return times

    def next_part(self) -> "SimulatedFleet":
        """Return the same services with the records that follow, and without a failure."""
        start_ms = self.start_ms + round(self.records / self.records_per_second * 1000)
        return replace(self, part=self.part + 1, start_ms=start_ms, failing=0)

    def learn(self) -> Baseline:
        """Learn the baseline of a typical service from a healthy day."""
        return healthy_baseline(
            self.seed,
            self.start_ms,
            self.records_per_second / self.subjects,
            self.configuration.detect,
            signals=YARDSTICK_SIGNALS,
            sample_records=World.SAMPLE_RECORDS if self.records >= SHORT_RECORDS else SHORT_SAMPLE_RECORDS,
        )

    def baselines(self, typical: Baseline) -> Iterator[OutgoingMessage]:
        """Yield the baseline of every service, with its own typical values."""
        for subject, scale in zip(self.names, self._scales.tolist(), strict=True):
            version = f"{typical.baseline_version[:6]}-{subject}"[:64]
            content = orjson.loads(typical.to_json()) | {"subject": subject, "baseline_version": version}
            for name in SCALED_SIGNALS:
                _scale(content["signals"][name], scale)
            yield OutgoingMessage(self.start_ms, f"{subject}/{version}".encode(), orjson.dumps(content))

    def messages(self, partitions: int) -> Iterator[OutgoingMessage]:
        """Yield the records in order of event time."""
        spread = spread_keys(SUBJECT, partitions)
        prefix = len(f'{{"subject":"{SUBJECT}"')
        names = self.names
        prefixes = [f'{{"subject":"{name}"'.encode() for name in names]
        keys = [name.encode() for name in names]
        first = 0
        for columns, subjects in self._columns():
            lines = json_lines(columns, seed=self.seed + self.part, signals=YARDSTICK_SIGNALS)
            rows = zip(columns.times_ms.tolist(), subjects.tolist(), lines, strict=True)
            if self.subjects == 1:
                for number, (time_ms, _, line) in enumerate(rows, first):
                    yield OutgoingMessage(time_ms, spread[number % partitions], line)
            else:
                for time_ms, subject, line in rows:
                    yield OutgoingMessage(time_ms, keys[subject], prefixes[subject] + line[prefix:])
            first += len(lines)

    def is_page(self, drift: Drift) -> bool:
        """Return whether a drift is a new page on the signal of the failure."""
        return drift.state == "firing" and drift.signal == self.failure_signal and drift.tier == "page"

    def problems(self, drifts: Sequence[Drift], partitions: int) -> list[str]:
        """Return what is wrong with the reports of the planted failure, one sentence per problem.

        Every failing service must page, from every partition that has its records, and no service before it fails.
        """
        numbers = {name: number for number, name in enumerate(self.names)}
        pages = [drift for drift in drifts if self.is_page(drift)]
        at_ms = self.failure_at_ms
        early = [page for page in pages if page.started_at < at_ms[numbers[page.subject]] - START_TOLERANCE_MS]
        found = {
            (page.subject, page.partition if self.subjects == 1 else 0)
            for page in pages
            if numbers[page.subject] < self.failing
        }
        expected = self.failing * (partitions if self.subjects == 1 else 1)
        problems = []
        if len(found) < expected:
            problems.append(f"the planted {self.failure} was reported {len(found)} times of {expected}")
        if early:
            problems.append(f"{len(early)} pages for {self.failure} precede the planted failure")
        return problems

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        if self.subjects == 1:
            return np.ones(1)
        return np.exp(np.random.default_rng(self.seed).normal(0.0, SCALE_SPREAD, self.subjects))

    def time_ms_at(self, share: float) -> int:
        """Return the event time, in Unix ms, before which a share of the records lies. It depends on the daily traffic."""
        time_ms = self.start_ms
        for columns in self._world().generate(records=round(self.records * share)):
            time_ms = int(columns.times_ms[-1])
        return time_ms

    def _world(self, *failures: SimulatedFailure) -> World:
        noise_seed = self.seed + self.part
        return World(self.seed, self.start_ms, self.records_per_second, failures, noise_seed=noise_seed)

    def _columns(self) -> Iterator[tuple[RecordColumns, NDArray[np.intp]]]:
        """Yield records and the number of the service of each."""
        random = np.random.default_rng((self.seed, self.part))
        # The two worlds draw the same numbers, so their records differ only by the failure.
        healthy = self._world().generate(records=self.records)
        failed = self._world(SimulatedFailure(self.failure, 0)).generate(records=self.records)
        for columns, failing in zip(healthy, failed, strict=True):
            subjects = random.integers(0, self.subjects, len(columns.times_ms))
            has_failed = columns.times_ms >= self.failure_at_ms[subjects]
            values = {
                name: np.where(has_failed, failing.values[name], column) for name, column in columns.values.items()
            }
            for name in SCALED_SIGNALS:
                values[name] = values[name] * self._scales[subjects]
            yield replace(columns, values=values, labels=self._labels(random, len(subjects))), subjects

    def _labels(self, random: np.random.Generator, count: int) -> dict[str, list[str | None]]:
        if self.segment_values is None:
            return {}
        return {
            dimension: [f"{dimension}-{value}" for value in random.integers(0, self.segment_values, count).tolist()]
            for dimension in ("region", "tenant")
        }


def spread_keys(subject: str, partitions: int) -> list[bytes]:
    """Return one key per partition, as used by a producer that spreads a busy subject over partitions.

    >>> [partition_for_key(key, 4) for key in spread_keys("support-bot", 4)]
    [0, 1, 2, 3]
    """
    keys: dict[int, bytes] = {}
    number = 0
    while len(keys) < partitions:
        key = f"{subject}#{number}".encode()
        keys.setdefault(partition_for_key(key, partitions), key)
        number += 1
    return [keys[partition] for partition in range(partitions)]


def _scale(signal: dict[str, object], scale: float) -> None:
    """Multiply the values of a signal in a baseline."""
    for place, name in ((signal, "mean"), (signal, "knots"), (signal.get("profile"), "medians")):
        if isinstance(place, dict) and place.get(name) is not None:
            value = place[name]
            place[name] = [number * scale for number in value] if isinstance(value, list) else value * scale
