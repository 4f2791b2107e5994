"""Faults on the wire, and a seeded plan that selects the affected requests."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from load.wire.protocol import ApiKey, WireRequest


class FaultKind(StrEnum):
    """Effect of a fault on a request."""

    DROP_REQUEST = "drop_request"
    """The broker does not receive the request. After a silence of ``seconds``, the connection is closed."""

    DROP_ANSWER = "drop_answer"
    """The broker executes the request. After a silence of ``seconds``, the connection is closed."""

    DELAY = "delay"
    """The request and all later requests on the connection reach the broker after a delay of ``seconds``."""

    LATE = "late"
    """The connection is closed. The broker receives the request after a delay of ``seconds``, on a separate
    connection."""

    DUPLICATE = "duplicate"
    """The broker executes a copy of the request on a separate connection, and then the original request."""

    ERROR = "error"
    """The broker does not receive the request. The answer is ``error_code``."""

    CUT = "cut"
    """The broker receives half of the request. The connection is closed."""


TRANSIENT_ERRORS: Mapping[ApiKey, tuple[int, ...]] = {
    ApiKey.PRODUCE: (6, 7, 19, 56),
    ApiKey.FETCH: (6, 56),
    ApiKey.INIT_PRODUCER_ID: (14, 15, 16, 51),
    ApiKey.ADD_PARTITIONS_TO_TXN: (14, 15, 16, 51),
    ApiKey.ADD_OFFSETS_TO_TXN: (14, 15, 16, 51),
    ApiKey.TXN_OFFSET_COMMIT: (14, 15, 16),
    ApiKey.END_TXN: (14, 15, 16, 51),
}
"""Error codes that a healthy cluster returns temporarily while a leader or coordinator moves, loads or is busy.

6 is NOT_LEADER_OR_FOLLOWER, 7 REQUEST_TIMED_OUT, 14 COORDINATOR_LOAD_IN_PROGRESS, 15 COORDINATOR_NOT_AVAILABLE, 16
NOT_COORDINATOR, 19 NOT_ENOUGH_REPLICAS, 51 CONCURRENT_TRANSACTIONS and 56 KAFKA_STORAGE_ERROR.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, which affects one request.

    Attributes
    ----------
    api_key
        Type of the request.
    kind
        Effect on the request.
    seconds
        Duration of the silence or the delay. ``math.inf`` holds a late request until ``before`` is true or until
        :meth:`WireProxy.deliver_late_requests` is called.
    error_code
        Kafka's error code in the answer, for ``ERROR``.
    matches
        Condition on the request, in addition to its type. If None, all requests of the type match.
    before
        For ``LATE``: the request is delivered immediately before the first other request for which this condition is true.
    """

    api_key: ApiKey
    kind: FaultKind
    seconds: float = 0.0
    error_code: int = 0
    matches: Callable[[WireRequest], bool] | None = None
    before: Callable[[WireRequest], bool] | None = None

    @property
    def name(self) -> str:
        """Name for counters, such as ``end_txn.drop_answer``."""
        return f"{self.api_key.name.lower()}.{self.kind}"


class FaultPlan:
    """Faults for the requests of a run, drawn from a seed.

    The n-th request of a type gets the same fault in each run with the same seed, regardless of the requests of other
    types between them.

    Parameters
    ----------
    seed
        Seed of the plan.
    spacing
        Mean number of requests per fault, by type of request. Other types get no faults. Higher values inject fewer
        faults.
    kinds
        Kinds of faults to choose from.
    seconds_max
        Upper limit of silences and delays.
    """

    def __init__(
        self,
        seed: int,
        spacing: Mapping[ApiKey, int],
        *,
        kinds: Collection[FaultKind] = tuple(FaultKind),
        seconds_max: float = 2.0,
    ) -> None:
        if any(mean < 1 for mean in spacing.values()):
            raise ValueError(f"the spacing of faults must be at least one request, not {min(spacing.values())}")
        self._spacing = dict(spacing)
        self._kinds = sorted(kinds)
        self._seconds_max = seconds_max
        # With a separate generator per type, the faults of a type do not depend on requests of other types.
        self._random = {api_key: random.Random(f"{seed}:{api_key}") for api_key in spacing}
        self._requests_left = {api_key: self._draw_gap(api_key) for api_key in spacing}

    def next_fault(self, request: WireRequest) -> Fault | None:
        """Return the fault for the next request of a type, or None."""
        if request.api_key not in self._spacing:
            return None
        api_key = ApiKey(request.api_key)
        self._requests_left[api_key] -= 1
        if self._requests_left[api_key] > 0:
            return None
        self._requests_left[api_key] = self._draw_gap(api_key)
        generator = self._random[api_key]
        kind = generator.choice(self._kinds)
        seconds = generator.uniform(0.0, self._seconds_max)
        return Fault(api_key, kind, seconds, generator.choice(TRANSIENT_ERRORS.get(api_key, (15,))))

    def _draw_gap(self, api_key: ApiKey) -> int:
        return self._random[api_key].randint(1, 2 * self._spacing[api_key] - 1)
