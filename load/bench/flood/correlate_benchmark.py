"""Processor time of the correlate step per drift and of the route step per alert, with few and many open incidents."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import orjson

from load.bench.flood.drift_flood import DRIFTS_PER_SECOND, DriftFlood
from load.bench.machine import describe_machine
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.route import Delivery, RouteSettings, RouteStep
from pipeline.step import OutputMessage, RawMessage
from schemas.topics import ALERTS

OPEN_INCIDENTS = (100, 1_000, 5_000)
SUBJECTS = 2_000
ROUNDS = 3
RATIO_MAX = 1.5
"""Largest cost with many open incidents, as a multiple of that with few."""

CHECKPOINT_S = 2
"""Seconds between checkpoints."""

SETTINGS = CorrelateSettings(incidents_max=10_000)
ROUTE_SETTINGS = RouteSettings.model_validate({"receivers": [{"name": "console", "console": True}]})


@dataclass(frozen=True, slots=True)
class FloodCost:
    """Cost of a flood while a number of incidents is open. Times are microseconds of processor time.

    Attributes
    ----------
    correlate_us, route_us
        Per drift, and per alert.
    correlate_checkpoint_us
        Of the checkpoints of correlate, per drift.
    alert_bytes, checkpoint_bytes
        Bytes of alerts and of checkpoints per drift.
    state_bytes_p99
        State of an incident in the checkpoint: the 99th percentile.
    restart_s
        Seconds of processor time until correlate has read its checkpoint.
    """

    open_incidents: int
    correlate_us: float
    correlate_checkpoint_us: float
    alert_bytes: float
    checkpoint_bytes: float
    state_bytes_p99: int
    restart_s: float
    route_us: float


@dataclass(frozen=True, slots=True)
class CorrelateBenchmark:
    """Costs by number of open incidents."""

    drifts: int
    costs: tuple[FloodCost, ...]

    @property
    def ratio(self) -> float:
        """Time per drift with the most open incidents, as a multiple of that with the fewest."""
        return self.costs[-1].correlate_us / self.costs[0].correlate_us

    @property
    def route_ratio(self) -> float:
        """Time per alert with the most open incidents, as a multiple of that with the fewest."""
        return self.costs[-1].route_us / self.costs[0].route_us

    @property
    def problems(self) -> list[str]:
        """What is too slow. It is empty if nothing is."""
        ratios = {"a drift": self.ratio, "an alert": self.route_ratio}
        count = self.costs[-1].open_incidents
        return [
            f"{what} costs {ratio:.2f} times as much with {count} open incidents, and at most {RATIO_MAX} is allowed"
            for what, ratio in ratios.items()
            if ratio > RATIO_MAX
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the results and the machine."""
        first, last = self.costs[0].open_incidents, self.costs[-1].open_incidents
        return {
            "drifts": self.drifts,
            **{f"cost_per_drift_us_{cost.open_incidents}": cost.correlate_us for cost in self.costs},
            f"ratio_{last}_to_{first}": self.ratio,
            **{f"route_cost_per_alert_us_{cost.open_incidents}": cost.route_us for cost in self.costs},
            f"route_ratio_{last}_to_{first}": self.route_ratio,
            "state_bytes_per_incident_p99": self.costs[-1].state_bytes_p99,
            "problems": self.problems,
            "costs": [asdict(cost) for cost in self.costs],
            "machine": describe_machine(),
        }


def run_correlate_benchmark(
    seed: int, drifts: int, say: Callable[[str], object], *, open_incidents: Sequence[int] = OPEN_INCIDENTS
) -> CorrelateBenchmark:
    """Measure a flood of 10,000 drifts a minute over 2,000 subjects, in rounds by turns. Report the medians.

    Parameters
    ----------
    seed, drifts
        Seed of the flood, and number of drifts per round.
    say
        Receives a line of progress before each part.
    open_incidents
        Numbers of other incidents that are open, in ascending order.
    """
    floods = []
    for count in open_incidents:
        say(f"opening {count} incidents")
        floods.append(_OpenFlood(seed, count))
    rounds: list[list[FloodCost]] = []
    for number in range(1, ROUNDS + 1):
        rounds.append([])
        for count, flood in zip(open_incidents, floods, strict=True):
            say(f"round {number} of {ROUNDS}: {drifts} drifts with {count} open incidents")
            rounds[-1].append(flood.measure(drifts))
    restarts_s = []
    for count, flood in zip(open_incidents, floods, strict=True):
        say(f"restarting with {count} open incidents")
        restarts_s.append(flood.restart())
    costs = [_combine([costs[index] for costs in rounds]) for index in range(len(floods))]
    return CorrelateBenchmark(
        drifts, tuple(replace(cost, restart_s=seconds) for cost, seconds in zip(costs, restarts_s, strict=True))
    )


class _OpenFlood:
    """Both steps with a number of open incidents, and the flood that goes on."""

    def __init__(self, seed: int, open_incidents: int) -> None:
        self._open_incidents = open_incidents
        self._flood = DriftFlood(seed, SUBJECTS)
        self._correlate = CorrelateStep(SETTINGS)
        self._route = RouteStep(ROUTE_SETTINGS, self._flood.now)
        self._state: dict[bytes, bytes] = {}
        outputs = self._correlate.step(list(self._flood.open_incidents(open_incidents)))
        self._checkpoint(self._correlate.changed())
        self._notify(outputs)

    def measure(self, drifts: int) -> FloodCost:
        """Report a number of drifts. Return their cost without that of a restart."""
        step = self._correlate
        correlate_s = checkpoint_s = route_s = 0.0
        alert_bytes = checkpoint_bytes = alerts = 0
        reports = self._flood.report(drifts)
        while messages := list(_take(reports, CHECKPOINT_S * DRIFTS_PER_SECOND)):
            started = time.process_time()
            outputs = step.step(messages)
            stepped = time.process_time()
            parts = list(step.changed())
            checkpointed = time.process_time()
            self._checkpoint(parts)
            correlate_s += stepped - started
            checkpoint_s += checkpointed - stepped
            alert_bytes += sum(len(output.value or b"") for output in outputs)
            checkpoint_bytes += sum(len(value or b"") for _, value in parts)
            alerts += len(outputs)
            started = time.process_time()
            self._notify(outputs)
            route_s += time.process_time() - started
        return FloodCost(
            open_incidents=self._open_incidents,
            correlate_us=correlate_s / drifts * 1e6,
            correlate_checkpoint_us=checkpoint_s / drifts * 1e6,
            alert_bytes=alert_bytes / drifts,
            checkpoint_bytes=checkpoint_bytes / drifts,
            state_bytes_p99=self._state_bytes_p99(),
            restart_s=0.0,
            route_us=route_s / max(1, alerts) * 1e6,
        )

    def restart(self) -> float:
        """Return the seconds of processor time until correlate has read its checkpoint."""
        started = time.process_time()
        list(CorrelateStep(SETTINGS).restore(self._state.items()))
        return time.process_time() - started

    def _notify(self, outputs: Iterable[OutputMessage]) -> None:
        now = self._flood.now
        alerts = [RawMessage(ALERTS, 0, self._flood.next_offset(), now, one.key, one.value) for one in outputs]
        self._route.step(alerts)
        self._route.tick(now)
        while dispatches := self._route.take_pending():
            for dispatch in dispatches:
                self._route.record_delivery(dispatch, Delivery("sent", "", 1, now))
        list(self._route.changed())

    def _checkpoint(self, parts: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in parts:
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = value

    def _state_bytes_p99(self) -> int:
        """Return the bytes of the parts of an incident with its drifts: the 99th percentile."""
        sizes: Counter[str] = Counter()
        for key, value in self._state.items():
            kind, _, name = key.decode().partition("/")
            if kind == "drift":
                name = orjson.loads(value)["state"]["incident_id"]
            if kind in ("incident", "published", "drift"):
                sizes[name] += len(value)
        return sorted(sizes.values())[int(0.99 * (len(sizes) - 1))]


def _take(messages: Iterable[RawMessage], count: int) -> Iterable[RawMessage]:
    for _, message in zip(range(count), messages, strict=False):
        yield message


def _combine(costs: Sequence[FloodCost]) -> FloodCost:
    values = {name: median(getattr(cost, name) for cost in costs) for name in asdict(costs[0])}
    return FloodCost(**values)
