"""Time of ``Client.record()`` while Kafka works, hangs, is away and is slow. Run it with ``make bench-client``.

One thread makes the calls, in bursts over a minute. Exits with status 1 if the 99th percentile of a condition is above
the limit, or if the counts do not add up.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driftwire_client import Client
from topologies.broker import EmbeddedBroker, create_topics

P99_MAX_US = 50.0
"""Maximum 99th percentile of a call, in microseconds."""

BURST = 100
"""Calls without a pause."""

SLOW_STOPPED_S, SLOW_RUNNING_S = 0.9, 0.1
"""A slow Kafka is suspended for most of each second."""

SETTLE_S = 90.0
"""Maximum seconds until the records that wait are sent, once Kafka works again."""


def record_fields(number: int) -> dict[str, object]:
    """Return the fields of a record as an LLM service would send it."""
    return {
        "request_id": f"r-{number}",
        "latency_ms": 812.25,
        "time_to_first_token_ms": 201.5,
        "error": False,
        "input_tokens": 1200,
        "output_tokens": 340,
        "length": 911,
        "refused": False,
        "finish_reason": "stop",
        "segment": {"region": "ap-southeast-2", "tenant": "acme"},
    }


@contextmanager
def working(_broker: EmbeddedBroker) -> Iterator[None]:
    """Kafka works."""
    yield


@contextmanager
def hung(broker: EmbeddedBroker) -> Iterator[None]:
    """Kafka is suspended: connections are open, and nothing is answered."""
    os.kill(broker.pid or 0, signal.SIGSTOP)
    yield
    os.kill(broker.pid or 0, signal.SIGCONT)


@contextmanager
def away(broker: EmbeddedBroker) -> Iterator[None]:
    """Kafka is stopped: connections are refused."""
    asyncio.run(broker.stop())
    yield
    asyncio.run(broker.start())


@contextmanager
def slow(broker: EmbeddedBroker) -> Iterator[None]:
    """Kafka answers in a tenth of each second."""
    ended = threading.Event()

    def suspend() -> None:
        while not ended.wait(SLOW_RUNNING_S):
            os.kill(broker.pid or 0, signal.SIGSTOP)
            ended.wait(SLOW_STOPPED_S)
            os.kill(broker.pid or 0, signal.SIGCONT)

    thread = threading.Thread(target=suspend)
    thread.start()
    yield
    ended.set()
    thread.join()


CONDITIONS = {"working": working, "hung": hung, "away": away, "slow": slow}


def time_calls(client: Client, calls: int, seconds: float) -> list[int]:
    """Call record() in bursts for a number of seconds, and return the nanoseconds of each call."""
    times = [0] * calls
    clock = time.perf_counter_ns
    start = time.monotonic()
    for number in range(calls):
        fields = record_fields(number)
        before = clock()
        client.record(**fields)  # type: ignore[arg-type]  # a plain dictionary, as built above
        times[number] = clock() - before
        if number % BURST == 0:
            time.sleep(max(0.0, start + seconds * number / calls - time.monotonic()))
    return times


def run_condition(name: str, calls: int, seconds: float) -> bool:
    """Print one row, and return whether it is within the limit."""
    with tempfile.TemporaryDirectory(prefix="driftwire-") as folder:
        broker = EmbeddedBroker(Path(folder))
        asyncio.run(broker.start())
        asyncio.run(create_topics(broker.cluster, 4, 1))
        client = Client(broker.bootstrap, subject="support-bot")
        client.record(latency_ms=1)
        while not client.counts().sent:
            time.sleep(0.01)
        with CONDITIONS[name](broker):
            times = sorted(time_calls(client, calls, seconds))
        deadline = time.monotonic() + SETTLE_S
        while client.counts().waiting and time.monotonic() < deadline:
            time.sleep(0.1)
        client.close()
        counts = client.counts()
        asyncio.run(broker.stop())
    p50, p99, largest = (times[round(share * (calls - 1))] / 1000 for share in (0.5, 0.99, 1))
    adds_up = counts.called == calls + 1 == counts.sent + sum(counts.dropped.values())
    print(
        f"{name:8} {p50:9.1f} {p99:9.1f} {largest:9.0f} {counts.called:10} {counts.sent:9}  {counts.dropped}"
        f"  {'adds up' if adds_up else 'DOES NOT ADD UP'}",
        flush=True,
    )
    return adds_up and p99 <= P99_MAX_US


def main() -> None:
    """Run all conditions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000, help="Calls per condition. [default: 1000000]")
    parser.add_argument("--seconds", type=float, default=60, help="Duration of a condition in seconds. [default: 60]")
    parser.add_argument("--condition", choices=CONDITIONS, action="append", help="Condition. [default: all]")
    arguments = parser.parse_args()
    print("Kafka       p50 us    p99 us    max us     called      sent  dropped")
    results = [
        run_condition(name, arguments.calls, arguments.seconds) for name in arguments.condition or list(CONDITIONS)
    ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
