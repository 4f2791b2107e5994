"""The schedule of faults, which depends only on the seed. Times are relative to the start of the run."""

import random
from dataclasses import dataclass

WEIGHTS: dict[str, int] = {
    "worker_killed": 22,
    "worker_suspended": 7,
    "worker_joins_and_leaves": 10,
    "worker_log_full": 3,
    "worker_clock_jump": 6,
    "broker_killed": 5,
    "broker_stopped": 2,
    "broker_paused": 5,
    "disk_full": 2,
    "folder_unwritable": 2,
    "topic_refuses": 3,
    "wire": 16,
    "poison": 9,
    "duplicates": 4,
    "producer_clock_jump": 3,
    "receiver_slow": 4,
}
"""Number of faults of each kind in a run of about a hundred faults."""

RARE = ("broker_stopped", "disk_full", "folder_unwritable")
"""Kinds that take a long time. After the first faults, their number grows only with the total number of faults."""

GAP_S = (1.5, 7.0)
"""Smallest and largest number of seconds between the starts of two faults."""

LONG_RUN = 50
"""Minimum number of faults for an outage of the broker that lasts :data:`OUTAGE_S`."""

OUTAGE_S = 60.0
SHORT_OUTAGE_S = 6.0


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of a schedule.

    Attributes
    ----------
    kind
        A key of :data:`WEIGHTS`.
    at_s
        Seconds from the start of the run to the start of the fault.
    lasts_s
        Seconds that the fault lasts. A fault that has not taken effect by then is prolonged, up to a limit.
    seed
        Seed of all other choices of the fault, such as the step that is killed.
    """

    kind: str
    at_s: float
    lasts_s: float
    seed: str

    def random(self) -> random.Random:
        """Return a random number generator for the choices of the fault."""
        return random.Random(self.seed)


def plan_faults(seed: int, count: int) -> list[PlannedFault]:
    """Return the schedule of a seed. Every kind occurs once before any kind occurs twice.

    >>> [(fault.kind, round(fault.at_s, 1)) for fault in plan_faults(1, 3)]
    [('broker_paused', 3.9), ('worker_killed', 6.5), ('broker_killed', 9.9)]
    >>> plan_faults(1, 100) == plan_faults(1, 100)
    True
    """
    generator = random.Random(f"schedule:{seed}")
    kinds = sorted(WEIGHTS)
    generator.shuffle(kinds)
    kinds = kinds[:count]
    others = [kind for kind in WEIGHTS if kind not in RARE]
    repeated = [kind for kind in RARE for _ in range((WEIGHTS[kind] - 1) * count // 100)]
    missing = count - len(kinds) - len(repeated)
    if missing > 0:
        repeated += generator.choices(others, [WEIGHTS[kind] for kind in others], k=missing)
        generator.shuffle(repeated)
        kinds += repeated
    faults, at_s = [], 0.0
    for number, kind in enumerate(kinds):
        at_s += generator.uniform(*GAP_S)
        if kind == "broker_stopped":
            lasts_s = OUTAGE_S if count >= LONG_RUN else SHORT_OUTAGE_S
        else:
            lasts_s = fault_duration_s(kind, generator)
        faults.append(PlannedFault(kind, at_s, lasts_s, f"{seed}:{number}:{kind}"))
    return faults


def fault_duration_s(kind: str, generator: random.Random) -> float:
    """Return how many seconds a fault of this kind lasts, unless it is a broker outage."""
    shortest_s, longest_s = {
        "worker_killed": (0.1, 3.0),
        "worker_suspended": (2.0, 5.0),
        "worker_joins_and_leaves": (3.0, 8.0),
        "broker_killed": (0.2, 3.0),
        "broker_paused": (4.0, 14.0),
    }.get(kind, (3.0, 8.0))
    return generator.uniform(shortest_s, longest_s)
