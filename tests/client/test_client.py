"""The client never disturbs its caller, and accounts for every call, whatever happens to Kafka."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftwire_client import Client, Counts
from load.wire import ApiKey, FaultKind, FaultPlan, WireProxy
from schemas.record import Record
from schemas.topics import DEPLOYMENTS, RECORDS
from tests.process_signals import suspend
from topologies.broker import EmbeddedBroker
from topologies.kafka import read_topic

NOWHERE = "127.0.0.1:1"
ROOT = Path(__file__).parents[2]


async def wait_until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.05)


async def request_ids(broker: EmbeddedBroker, subject: str) -> list[str]:
    """Ids of the records of a subject in the topic."""
    records = [
        Record.from_json(message.value) async for message in read_topic(broker.cluster, RECORDS) if message.value
    ]
    return sorted(str(record.request_id) for record in records if record.subject == subject)


def assert_adds_up(counts: Counts, called: int) -> None:
    assert counts.called == called
    assert counts.waiting == 0
    assert counts.sent + sum(counts.dropped.values()) == called


@pytest.mark.kafka
async def test_calls_arrive(broker: EmbeddedBroker) -> None:
    with Client(broker.bootstrap, subject="client-arrives") as client:
        client.record(request_id="r-1", latency_ms=812, refused=False)
        client.outcome("r-1", thumbs_down=True)
        client.deployed(kind="prompt", from_version="v41", to_version="v42", deployment_id="client-arrives-1")
    assert client.counts() == Counts(3, 3, 0, {})
    assert await request_ids(broker, "client-arrives") == ["r-1", "r-1"]
    sent = [json.loads(message.value or b"") async for message in read_topic(broker.cluster, DEPLOYMENTS)]
    assert [one["to_version"] for one in sent if one["deployment_id"] == "client-arrives-1"] == ["v42"]


@pytest.mark.kafka
async def test_records_survive_a_hung_kafka(
    empty_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftwire_client.client.PROBLEM_AFTER_S", 1.0)
    client = Client(empty_broker.bootstrap, subject="hung", queue_records=500)
    client.record(request_id="first")
    await wait_until(lambda: client.counts().sent == 1)
    suspend(empty_broker.pid)
    try:
        for number in range(2000):
            client.record(request_id=f"r-{number:04}")
        await wait_until(lambda: "does not accept records" in caplog.text)
        assert client.counts().waiting == 500
        assert client.counts().dropped == {"queue_full": 1500}
    finally:
        os.kill(empty_broker.pid or 0, signal.SIGCONT)
    await wait_until(lambda: client.counts().waiting == 0)
    client.close()
    assert client.counts() == Counts(2001, 501, 0, {"queue_full": 1500})
    assert set(await request_ids(empty_broker, "hung")) == {"first", *(f"r-{number:04}" for number in range(500))}
    begin, end = [record.getMessage() for record in caplog.records]
    assert begin == f"Kafka at {empty_broker.bootstrap} does not accept records (no answer); up to 500 records wait"
    assert end == f"Kafka at {empty_broker.bootstrap} accepts records again; 0 records were dropped in the meantime"


@pytest.mark.kafka
async def test_records_survive_an_outage(
    empty_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftwire_client.client.PROBLEM_AFTER_S", 1.0)
    client = Client(empty_broker.bootstrap, subject="away")
    client.record(request_id="first")
    await wait_until(lambda: client.counts().sent == 1)
    await empty_broker.stop()
    for number in range(1000):
        client.record(request_id=f"r-{number:04}")
    await wait_until(lambda: "does not accept records" in caplog.text)
    await empty_broker.start()
    await wait_until(lambda: client.counts().waiting == 0)
    client.close()
    assert client.counts() == Counts(1001, 1001, 0, {})
    assert set(await request_ids(empty_broker, "away")) == {"first", *(f"r-{number:04}" for number in range(1000))}
    begin, end = [record.getMessage() for record in caplog.records]
    assert "Connection refused" in begin
    assert end == f"Kafka at {empty_broker.bootstrap} accepts records again; 0 records were dropped in the meantime"


@pytest.mark.kafka
async def test_records_survive_a_slow_kafka(broker: EmbeddedBroker) -> None:
    plan = FaultPlan(1, {ApiKey.PRODUCE: 1}, kinds=[FaultKind.DELAY], seconds_max=0.5)
    async with WireProxy(broker.bootstrap, plan) as proxy:
        client = Client(proxy.bootstrap, subject="client-slow", close_timeout_s=20)
        for number in range(3000):
            client.record(request_id=f"r-{number:04}")
            if number % 300 == 0:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(client.close)
        assert proxy.counts["produce.delay"] > 0
    assert client.counts() == Counts(3000, 3000, 0, {})
    assert await request_ids(broker, "client-slow") == [f"r-{number:04}" for number in range(3000)]


@pytest.mark.kafka
async def test_what_kafka_did_not_confirm_is_dropped_at_the_end(
    empty_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(empty_broker.bootstrap, subject="closed", close_timeout_s=0.5)
    client.record(request_id="first")
    await wait_until(lambda: client.counts().sent == 1)
    suspend(empty_broker.pid)
    try:
        for number in range(100):
            client.record(request_id=f"r-{number:04}")
        start = time.monotonic()
        client.close()
        assert time.monotonic() - start < 10
    finally:
        os.kill(empty_broker.pid or 0, signal.SIGCONT)
    assert client.counts() == Counts(101, 1, 0, {"undelivered": 100})
    assert "confirmed 100 records" in caplog.text


@pytest.mark.kafka
async def test_a_refused_record_is_counted(broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture) -> None:
    with Client(broker.bootstrap, subject="client-large") as client:
        for _ in range(3):
            client.record(embedding=[0.123456789] * 100_000)
        client.record(request_id="small")
    assert client.counts() == Counts(4, 1, 0, {"refused": 3})
    assert [record.getMessage() for record in caplog.records] == [
        "a message was dropped: it is larger than Kafka accepts (further ones are only counted)"
    ]
    assert await request_ids(broker, "client-large") == ["small"]


@pytest.mark.kafka
async def test_calls_of_many_threads_are_all_counted(broker: EmbeddedBroker) -> None:
    client = Client(broker.bootstrap, subject="client-threads", queue_records=2000, close_timeout_s=20)

    def call(thread: int) -> None:
        for number in range(1000):
            client.record(request_id=f"{thread}-{number}")

    threads = [threading.Thread(target=call, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(client.close)  # while the threads are calling
    for thread in threads:
        thread.join()
    assert_adds_up(client.counts(), 8000)
    ids = await request_ids(broker, "client-threads")
    assert len(ids) == len(set(ids)) == client.counts().sent


class Hostile:
    """A value of which everything raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": 7},
        {"subject": "half \ud800"},
        {"latency_ms": Hostile()},
        {"versions": cycle()},
        {"versions": {"model": cycle()}},
    ],
)
def test_a_call_that_cannot_be_sent_raises_nothing_and_is_counted(
    fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(NOWHERE, subject="a", close_timeout_s=0.2)
    for _ in range(3):
        client.record(**fields)
    client.outcome(None)  # type: ignore[arg-type]  # wrong on purpose
    client.deployed()  # type: ignore[typeddict-item]  # wrong on purpose
    client.close()
    counts = client.counts()
    assert_adds_up(counts, 5)
    assert counts.dropped["invalid"] == 4
    assert len(caplog.records) == 3  # the record, the outcome, and what was undelivered


class RaisingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(record.msg)


@pytest.mark.kafka
async def test_sending_goes_on_after_a_log_handler_raised(broker: EmbeddedBroker) -> None:
    log, handler = logging.getLogger("driftwire_client"), RaisingHandler()
    log.addHandler(handler)
    try:
        with Client(broker.bootstrap, subject="client-log") as client:
            client.record(request_id="r-1", prompt="unknown")  # type: ignore[call-arg]  # wrong on purpose
            client.record(request_id="r-2", subject="")
            client.record(request_id="r-3")
        assert client.counts() == Counts(3, 2, 0, {"invalid": 1})
        with Client(NOWHERE, subject="a", close_timeout_s=0) as client:
            client.record()
        assert client.counts() == Counts(1, 0, 0, {"undelivered": 1})
    finally:
        log.removeHandler(handler)


class Exiting:
    """A value that ends the thread which reads it, if nothing holds it back."""

    def tolist(self) -> Any:
        raise SystemExit


@pytest.mark.kafka
async def test_sending_goes_on_after_a_value_raised_more_than_an_error(broker: EmbeddedBroker) -> None:
    with Client(broker.bootstrap, subject="client-exiting") as client:
        client.record(latency_ms=Exiting())  # type: ignore[arg-type]  # wrong on purpose
        client.record(request_id="r-1")
    assert client.counts() == Counts(2, 1, 0, {"invalid": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"embedding": [0.5] * 4096},
        {"embedding": (0.5,) * 4096},
        {"finish_reason": "a" * 130_000},
        {"segment": {"tenant": "a" * 130_000}},
    ],
)
def test_the_memory_of_waiting_calls_is_bounded(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftwire_client.client.QUEUE_BYTES_MAX", 1_000_000)
    client = Client(NOWHERE, subject="a", close_timeout_s=0)
    client._thread = threading.current_thread()  # nothing is taken from the queue
    for _ in range(20):
        client.record(**fields)
    assert client.counts() == Counts(20, 0, 7, {"queue_full": 13})
    client._thread = None
    client.close()
    assert_adds_up(client.counts(), 20)


@pytest.mark.kafka
async def test_sent_calls_make_room(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftwire_client.client.QUEUE_BYTES_MAX", 1_100_000)
    client = Client(broker.bootstrap, subject="client-room")
    for number in range(20):
        client.record(embedding=[0.5] * 4096)
        await wait_until(lambda sent=number + 1: client.counts().sent == sent)
    client.close()
    assert client.counts() == Counts(20, 20, 0, {})


def count_threads() -> int:
    return sum(thread.name == "driftwire-client" for thread in threading.enumerate())


def test_a_signal_handler_during_the_first_call_starts_no_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(NOWHERE, subject="a", close_timeout_s=0)
    before, start = count_threads(), threading.Thread.start

    def start_with_a_signal(thread: threading.Thread) -> None:
        start(thread)
        if len(client._queue) < 2:
            signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(threading.Thread, "start", start_with_a_signal)
    previous = signal.signal(signal.SIGUSR1, lambda *_: client.record(latency_ms=2))
    try:
        with client._lock:  # the thread cannot take a call from the queue meanwhile
            client.record(latency_ms=1)
            assert count_threads() == before + 1
    finally:
        signal.signal(signal.SIGUSR1, previous)
    client.close()
    assert client.counts() == Counts(2, 0, 0, {"undelivered": 2})


def test_a_closed_client_raises_nothing() -> None:
    client = Client(NOWHERE, subject="a", close_timeout_s=0)
    client.close()
    client.record(latency_ms=1)
    client.close()
    assert client.counts() == Counts(1, 0, 0, {"closed": 1})


def test_an_unknown_field_is_named_once_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(NOWHERE, subject="a", close_timeout_s=0.2)
    for _ in range(3):
        client.record(prompt="private")  # type: ignore[call-arg]  # wrong on purpose
    time.sleep(0.3)
    client.close()
    assert caplog.text.count("'prompt' is unknown here") == 1
    assert "private" not in caplog.text


def test_the_caller_may_change_its_mappings_and_lists_after_a_call() -> None:
    client = Client(NOWHERE, subject="a", close_timeout_s=0)
    versions, embedding = {"model": "m-1"}, [0.1, 0.2]
    client._thread = threading.current_thread()  # nothing is taken from the queue
    client.record(versions=versions, embedding=embedding)
    versions["model"] = "m-2"
    embedding.clear()
    assert client._queue[0][2] == {"versions": {"model": "m-1"}, "embedding": [0.1, 0.2]}
    client._thread = None
    client.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_records": 0}, "queue_records must be at least 1"),
        ({"bootstrap": None}, "bootstrap must be HOST:PORT, not None"),
        ({"bootstrap": ""}, "bootstrap must be HOST:PORT, not ''"),
        ({"close_timeout_s": float("inf")}, "close_timeout_s must be from 0 to 3600, not inf"),
        ({"close_timeout_s": -1}, "close_timeout_s must be from 0 to 3600, not -1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(**{"bootstrap": NOWHERE} | options)


def test_a_damaged_certificate_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged = tmp_path / "ca.pem"
    damaged.write_text("damaged")
    client = Client(NOWHERE, subject="a", close_timeout_s=1, security={"protocol": "ssl", "ca_file": str(damaged)})
    client.record(latency_ms=1)
    time.sleep(0.3)
    client.close()
    assert client.counts() == Counts(1, 0, 0, {"undelivered": 1})
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "does not accept records" in caplog.records[0].getMessage()


def run_program(program: str, bootstrap: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), bootstrap],
        env={"PYTHONPATH": str(ROOT / "client")},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.kafka
async def test_waiting_records_are_sent_at_the_end_of_the_program(broker: EmbeddedBroker) -> None:
    program = """
        import sys
        from driftwire_client import Client
        client = Client(sys.argv[1], subject="client-exit")
        for number in range(500):
            client.record(request_id=f"r-{number:03}")
    """
    await asyncio.to_thread(run_program, program, broker.bootstrap)
    assert await request_ids(broker, "client-exit") == [f"r-{number:03}" for number in range(500)]


@pytest.mark.kafka
async def test_forked_workers_send_for_themselves(broker: EmbeddedBroker) -> None:
    # As gunicorn does with preload: the parent has already sent, and each worker ends with sys.exit.
    program = """
        import os, sys, time
        from driftwire_client import Client
        client = Client(sys.argv[1], subject="client-fork")
        client.record(request_id="parent-0")
        while not client.counts().sent:
            time.sleep(0.01)
        client.record(request_id="parent-1")
        workers = []
        for worker in range(3):
            if (pid := os.fork()) == 0:
                for number in range(2):
                    client.record(request_id=f"worker-{worker}-{number}")
                assert client.counts().called == 2
                sys.exit(0)
            workers.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in workers] == [0, 0, 0]
        client.record(request_id="parent-2")
        client.close()
        print(client.counts().sent)
    """
    assert await asyncio.to_thread(run_program, program, broker.bootstrap) == "3\n"
    workers = [f"worker-{worker}-{number}" for worker in range(3) for number in range(2)]
    assert await request_ids(broker, "client-fork") == ["parent-0", "parent-1", "parent-2", *workers]
