"""A simulated flood of drifts: many subjects fail, worsen and recover at the same time, and other incidents stay open."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.detect.signals.catalogue import SIGNALS
from pipeline.step import RawMessage
from schemas.drift import Direction, Drift, Series
from schemas.tick import Tick
from schemas.timestamp import parse_timestamp
from schemas.topics import DRIFTS

START_MS = parse_timestamp("2026-11-24T03:12:00Z")
DRIFTS_PER_SECOND = 167
"""10,000 drifts a minute."""

PARTITIONS = 4
QUIET_MS = 7_200_000
"""Milliseconds between the incidents that stay open and the flood, so the flood does not join them."""

_SIGNALS = [signal for signal in SIGNALS if signal.role in ("pages", "tickets")]


@dataclass(slots=True)
class DriftFlood:
    """A seeded flood.

    Parameters
    ----------
    seed
        Seed of the flood. The same seed gives the same messages.
    subjects
        Number of subjects.
    providers
        Number of providers that serve the subjects. With 0, no subject names a provider, and none fail together.
    """

    seed: int
    subjects: int
    providers: int = 0
    _generator: random.Random = field(init=False)
    _now: int = field(init=False, default=START_MS)
    _offset: int = field(init=False, default=0)
    _number: int = field(init=False, default=0)
    _firing: list[Drift] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._generator = random.Random(self.seed)

    @property
    def now(self) -> int:
        """Time of the flood in Unix ms."""
        return self._now

    def next_offset(self) -> int:
        """Return an offset that no message has yet."""
        self._offset += 1
        return self._offset

    def open_incidents(self, count: int) -> Iterator[RawMessage]:
        """Yield drifts that open a number of incidents, one each, which stay open. They begin at different times."""
        rounds = -(-count // self.subjects)
        for number in range(rounds):
            for subject in range(min(self.subjects, count - number * self.subjects)):
                yield self._write(self._new_drift(subject))
            self._now += QUIET_MS
            yield from self._ticks()
        self._firing.clear()  # they stay as they are

    def report(self, count: int) -> Iterator[RawMessage]:
        """Yield reports of drifts with ticks once a second: half of them new, then worse or unchanged, or recovered."""
        for number in range(count):
            if number % DRIFTS_PER_SECOND == 0:
                self._now += 1000
                yield from self._ticks()
            choice = self._generator.random()
            if choice < 0.5 or not self._firing:
                yield self._write(self._new_drift(self._generator.randrange(self.subjects)))
                continue
            index = self._generator.randrange(len(self._firing))
            known = self._firing[index]
            state = "evidence" if choice < 0.8 else "recovered"
            now = known.normal if state == "recovered" else known.now * self._generator.uniform(0.8, 2.5)
            moved = {
                "state": state,
                "sequence": known.sequence + 1,
                "updated_at": self._now,
                "now": min(now, 1.0) if known.channel == "rate" else now,
                "records": known.records + self._generator.randrange(5, 200),
            }
            report = known.model_copy(update=moved)
            if state == "recovered":
                self._firing[index] = self._firing[-1]
                self._firing.pop()
            else:
                self._firing[index] = report
            yield self._write(report)

    def _new_drift(self, subject: int) -> Drift:
        generator, self._number = self._generator, self._number + 1
        row = generator.choice(_SIGNALS)
        is_rate = row.kind == "rate"
        side: Direction = "down" if row.direction == "down" else "up"
        normal = 0.01 if is_rate else generator.uniform(1, 1000)
        now = generator.uniform(0.05, 0.4) if is_rate else normal * generator.uniform(1.3, 3)
        started_at = self._now - generator.randrange(1000, 60_000)
        name = f"service-{subject:05d}"
        drift = Drift(
            drift_id=f"{name}-{self._number}",
            state="firing",
            subject=name,
            partition=subject % PARTITIONS,
            environment=None if not self.providers else "production",
            provider=None if not self.providers else f"provider-{subject % self.providers}",
            signal=row.name,
            layer=row.layer,
            unit=row.unit,
            failure_mode=row.failure_mode,
            channel="rate" if is_rate else "location",
            side=side,
            tier="page" if row.role == "pages" else "ticket",
            detector="page_hinkley",
            baseline_version="b-1",
            started_at=started_at,
            detected_at=self._now,
            updated_at=self._now,
            normal=normal,
            now=now if side == "up" or is_rate else normal / 2,
            effect=9.9 if is_rate else 0.3,
            effect_kind="odds_ratio" if is_rate else "rank_shift",
            records=generator.randrange(20, 2000),
            evidence=28.5,
            threshold=28.0,
            sentence=f"{row.name} left its baseline: 234 records since the start, and 28.0 is the threshold",
            series=[_series(started_at, is_rate=is_rate)],
        )
        self._firing.append(drift)
        return drift

    def _ticks(self) -> Iterator[RawMessage]:
        for partition in range(PARTITIONS):
            yield self._write(Tick(partition=partition, watermark=self._now - 500, wall=self._now))

    def _write(self, contract: Drift | Tick) -> RawMessage:
        return RawMessage(DRIFTS, 0, self.next_offset(), self._now, None, contract.to_json())


def _series(started_at: int, *, is_rate: bool) -> Series:
    minutes = 12
    begins_at = started_at // 60_000 * 60_000 - 600_000
    return Series(
        begins_at=begins_at,
        records=[120] * minutes,
        means=[0.01] * 10 + [0.2, 0.3],
        values=[] if is_rate else [100.0] * 10 + [180.0, 210.0],
    )
