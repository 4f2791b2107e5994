"""Overload of ``driftwire worker http``: three times what it can take, sent at a fixed rate, whatever the answers are.

First, as many clients as the server needs send as fast as it answers, which measures its capacity. Then requests are
sent at three times that rate. Requests that would exceed the limit of open requests are counted and not sent.
"""

import asyncio
import random
import re
import socket
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from load.bench.machine import describe_machine
from load.harness import run_against, temporary_topology
from schemas.topics import RECORDS
from topologies.configuration import Configuration
from topologies.http_settings import HttpSettings
from topologies.kafka import Cluster, read_topic

FACTOR = 3.0
"""Rate of the requests as a multiple of the capacity."""

CLIENTS = 32
"""Number of clients that measure the capacity."""

OPEN_MAX = 780
"""Maximum number of open requests, below the worker's maximum number of connections."""

PEAK_MIB_MAX = 400
"""Maximum resident memory of the worker, in MiB."""

SUCCESS, BUSY, UNSENT, BROKEN = 200, 429, 0, -1
"""Statuses: accepted, refused because too many wait, not sent because too many were open, and a broken connection."""

_HOST = "127.0.0.1"
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass
class HttpOverload:
    """Result of an overload.

    Attributes
    ----------
    capacity_per_s, offered_per_s
        Requests per second that the server answered alone, and that were offered during the overload.
    seconds, records_per_request
        Length of the overload, and size of the requests.
    statuses
        Number of requests by status.
    latency_ms_p50, latency_ms_p99
        Milliseconds until an accepted request was answered.
    peak_mib
        Largest resident memory of the worker, in MiB.
    accepted, missing, repeated
        Number of accepted records, of those that are not in Kafka, and of those that are there more than once.
    """

    capacity_per_s: float
    offered_per_s: float
    seconds: float
    records_per_request: int
    statuses: Counter[int] = field(default_factory=Counter)
    latency_ms_p50: float = 0.0
    latency_ms_p99: float = 0.0
    peak_mib: float = 0.0
    accepted: int = 0
    missing: int = 0
    repeated: int = 0

    @property
    def problems(self) -> list[str]:
        """What must not happen, one sentence per problem."""
        problems = []
        if self.missing:
            problems.append(f"{self.missing} of {self.accepted} accepted records are not in Kafka")
        if self.peak_mib > PEAK_MIB_MAX:
            problems.append(f"the worker used {self.peak_mib:.0f} MiB, more than {PEAK_MIB_MAX}")
        if not self.statuses[BUSY]:
            problems.append("no request was refused with 429: the server was not overloaded")
        return problems

    def to_json(self) -> dict[str, Any]:
        """Return the result and the machine."""
        statuses = {str(status): count for status, count in sorted(self.statuses.items())}
        return asdict(self) | {"statuses": statuses, "machine": describe_machine()}

    def __str__(self) -> str:
        offered = sum(self.statuses.values())
        others = {status: count for status, count in self.statuses.items() if status not in (SUCCESS, BUSY, UNSENT)}
        return (
            f"capacity {self.capacity_per_s:.0f} requests/s of {self.records_per_request} records; offered {offered} in "
            f"{self.seconds:.0f} s ({self.offered_per_s:.0f}/s): {self.statuses[SUCCESS]} accepted, "
            f"{self.statuses[BUSY]} answered with 429, {self.statuses[UNSENT]} not sent, {sum(others.values())} other "
            f"{others or ''}; accepted after {self.latency_ms_p50:.0f} ms (p50), {self.latency_ms_p99:.0f} ms (p99); peak "
            f"memory {self.peak_mib:.0f} MiB; {self.accepted} accepted records, {self.missing} missing in Kafka, "
            f"{self.repeated} there more than once"
        )


async def run_http_overload(
    *, seed: int, seconds: float, records_per_request: int, calibration_s: float = 5.0, factor: float = FACTOR
) -> HttpOverload:
    """Run an embedded Kafka and a worker, measure its capacity, and overload it.

    Parameters
    ----------
    seed
        Seed of the records.
    seconds, calibration_s
        Length of the overload, and of the measurement of the capacity.
    records_per_request
        Number of records in a request.
    factor
        Rate of the requests as a multiple of the capacity.
    """
    port = _free_port()
    configuration = Configuration(http=HttpSettings(listen=f"{_HOST}:{port}"))
    async with temporary_topology(configuration, workers=(), replay=False) as topology:
        work = _overload(f"http://{_HOST}:{port}/v1/records", seed, seconds, records_per_request, calibration_s, factor)
        result, accepted = await run_against(topology, work)
        result.peak_mib = _peak_mib(topology.workers[0].pid)
        await _compare(topology.cluster, result, accepted)
        return result


async def _overload(
    url: str, seed: int, seconds: float, records_per_request: int, calibration_s: float, factor: float
) -> tuple[HttpOverload, set[str]]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = _Client(session, url, random.Random(seed), records_per_request)
        capacity = await client.measure_capacity(calibration_s)
        client.statuses.clear()
        client.latencies_s.clear()
        rate = factor * capacity
        await client.send_at_rate(rate, seconds)
        latencies_ms = sorted(1000 * latency for latency in client.latencies_s) or [0.0]
        result = HttpOverload(
            capacity_per_s=capacity,
            offered_per_s=rate,
            seconds=seconds,
            records_per_request=records_per_request,
            statuses=client.statuses,
            latency_ms_p50=latencies_ms[len(latencies_ms) // 2],
            latency_ms_p99=latencies_ms[len(latencies_ms) * 99 // 100],
        )
        return result, client.accepted


class _Client:
    """Client that counts answers, and remembers which requests were accepted."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, generator: random.Random, records_per_request: int
    ) -> None:
        self._session, self._url, self._generator = session, url, generator
        self._records_per_request = records_per_request
        self._sent = 0
        self.statuses: Counter[int] = Counter()
        self.accepted: set[str] = set()
        self.latencies_s: list[float] = []

    async def measure_capacity(self, seconds: float) -> float:
        """Return the requests per second that the server answers if each client waits for its answer."""
        until = time.perf_counter() + seconds

        async def send_until() -> None:
            while time.perf_counter() < until:
                await self._send()

        started = time.perf_counter()
        await asyncio.gather(*(send_until() for _ in range(CLIENTS)))
        return self.statuses[SUCCESS] / (time.perf_counter() - started)

    async def send_at_rate(self, rate: float, seconds: float) -> None:
        """Send requests at their times, although earlier ones may not have been answered."""
        open_requests: set[asyncio.Task[None]] = set()
        started = time.perf_counter()
        for number in range(int(rate * seconds)):
            delay_s = started + number / rate - time.perf_counter()
            # Sleeping between any two requests would cost more than to send them.
            if delay_s > 0 or number % 50 == 0:
                await asyncio.sleep(max(0.0, delay_s))
            if len(open_requests) >= OPEN_MAX:
                self.statuses[UNSENT] += 1
                continue
            task = asyncio.create_task(self._send())
            open_requests.add(task)
            task.add_done_callback(open_requests.discard)
        if open_requests:
            await asyncio.wait(open_requests)

    async def _send(self) -> None:
        self._sent += 1
        name = f"{self._sent}"
        started = time.perf_counter()
        try:
            async with self._session.post(
                self._url, data=self._body(name), headers={"Content-Type": "application/x-ndjson"}
            ) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = BROKEN
        self.statuses[status] += 1
        if status == SUCCESS:
            self.accepted.add(name)
            self.latencies_s.append(time.perf_counter() - started)

    def _body(self, name: str) -> bytes:
        now_ms = int(time.time() * 1000)
        latency_ms = self._generator.lognormvariate(6.5, 0.4)
        return b"\n".join(
            b'{"subject":"bot-%d","timestamp":%d,"request_id":"%b-%d","infrastructure":{"latency_ms":%.1f,"error":false,'
            b'"input_tokens":812,"output_tokens":230},"output":{"refused":false,"length":911},"versions":{"prompt":"v1"}}'
            % (number % 8, now_ms, name.encode(), number, latency_ms)
            for number in range(self._records_per_request)
        )


async def _compare(cluster: Cluster, result: HttpOverload, accepted: set[str]) -> None:
    """Count the accepted records in Kafka."""
    found: Counter[str] = Counter()
    async with aclosing(read_topic(cluster, RECORDS)) as messages:
        async for message in messages:
            found[orjson.loads(message.value or b"{}")["request_id"]] += 1
    names = [f"{name}-{number}" for name in accepted for number in range(result.records_per_request)]
    result.accepted = len(names)
    result.missing = sum(not found[name] for name in names)
    result.repeated = sum(found[name] > 1 for name in names)


def _peak_mib(pid: int | None) -> float:
    match = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(match[1]) / 1024 if match else 0.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
