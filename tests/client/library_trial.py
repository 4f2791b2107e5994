"""Trial of two Kafka libraries for the client: ``make trial-client`` prints the figures of ADR 7.

Both send the same records from a thread of the serving process: confluent-kafka as the client does, aiokafka in an event
loop of the thread. The rounds alternate. Processor time is that of the whole process, without its base load.
"""

import asyncio
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaProducer

from driftwire_client import Client
from driftwire_client.client import POLL_S, RECORDS
from driftwire_client.message import encode_record
from tests.client.benchmark import record_fields
from topologies.broker import EmbeddedBroker, create_topics

ROUNDS = 5
CALLS = 30_000
SECONDS = 10.0
BURST = 30


class AiokafkaClient:
    """The same queue as the client's, sent with aiokafka in a thread."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._is_closed = False
        self._started = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._started.wait()

    def record(self, **fields: Any) -> None:
        self._queue.append((fields, time.time_ns() // 1_000_000))

    def close(self) -> None:
        self._is_closed = True
        self._thread.join()

    async def _run(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap, linger_ms=5) as producer:
            self._started.set()
            while self._queue or not self._is_closed:
                while self._queue:
                    fields, now_ms = self._queue.popleft()
                    key, value = encode_record(fields, {"subject": "support-bot"}, now_ms, print)
                    future = await producer.send(RECORDS, value, key)
                    future.add_done_callback(self._count)
                await asyncio.sleep(POLL_S)

    def _count(self, _future: asyncio.Future[Any]) -> None:
        self.sent += 1


def measure(record: Callable[..., None] | None, close: Callable[[], object]) -> tuple[float, float, float]:
    """Return the processor time per call and the median and 99th percentile of a call, all in microseconds."""
    times = []
    start, cpu = time.monotonic(), time.process_time()
    for number in range(CALLS):
        fields = record_fields(number)
        before = time.perf_counter_ns()
        if record is not None:
            record(**fields)
        times.append(time.perf_counter_ns() - before)
        if number % BURST == 0:
            time.sleep(max(0.0, start + SECONDS * number / CALLS - time.monotonic()))
    close()
    cpu = time.process_time() - cpu
    times.sort()
    return cpu / CALLS * 1e6, times[CALLS // 2] / 1000, times[CALLS * 99 // 100] / 1000


def main() -> None:
    """Print the medians of all rounds."""
    results: dict[str, list[tuple[float, float, float]]] = {"aiokafka": [], "confluent-kafka": []}
    with tempfile.TemporaryDirectory(prefix="driftwire-") as folder:
        broker = EmbeddedBroker(Path(folder))
        asyncio.run(broker.start())
        asyncio.run(create_topics(broker.cluster, 4, 1))
        for _ in range(ROUNDS):
            base, _, _ = measure(None, lambda: None)
            other = AiokafkaClient(broker.bootstrap)
            cpu, p50, p99 = measure(other.record, other.close)
            assert other.sent == CALLS
            results["aiokafka"].append((cpu - base, p50, p99))
            client = Client(broker.bootstrap, subject="support-bot", queue_records=CALLS, close_timeout_s=30)
            cpu, p50, p99 = measure(client.record, client.close)
            assert client.counts().sent == CALLS
            results["confluent-kafka"].append((cpu - base, p50, p99))
        asyncio.run(broker.stop())
    print("                 CPU us per record   p50 us   p99 us")
    for name, rows in results.items():
        cpu, p50, p99 = (median(column) for column in zip(*rows, strict=True))
        low, high = min(row[0] for row in rows), max(row[0] for row in rows)
        print(f"{name:16} {cpu:6.1f} ({low:.1f} to {high:.1f})  {p50:7.1f}  {p99:7.1f}")


if __name__ == "__main__":
    main()
