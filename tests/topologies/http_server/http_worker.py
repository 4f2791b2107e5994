"""A real ``driftwire worker http``, and clients that send to it."""

import asyncio
import contextlib
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration import Configuration, KafkaSettings, write_configuration


class Answer(NamedTuple):
    """An answer of the server."""

    status: int
    headers: Any
    body: bytes

    def json(self):
        return json.loads(self.body)


class HttpWorker(WorkerUnderTest):
    """The worker, with the address that it printed."""

    def __init__(self, folder: Path, kafka: dict[str, Any] | KafkaSettings, http: dict[str, Any]) -> None:
        configuration = Configuration.model_validate({"kafka": kafka, "http": {"listen": "127.0.0.1:0"} | http})
        folder.mkdir(exist_ok=True)
        write_configuration(configuration, folder / "http.json")
        arguments = ["-m", "topologies.cli", "worker", "http", "--config", str(folder / "http.json")]
        super().__init__(arguments, folder / "http.log")
        self.starts = 0

    def start(self, fault: str | None = None) -> None:
        super().start(fault)
        self.starts += 1
        deadline = time.monotonic() + 60
        while self.output.count("http: ready on ") < self.starts:
            assert self.is_running, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    @property
    def url(self) -> str:
        return re.findall(r"http: ready on (\S+)", self.output)[-1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def send(self, path: str, body: Any = None, *, context=None, **headers: str) -> Answer:
        """Send a request with urllib: a POST of bytes, or of JSON, or a GET without a body."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Content-Type": "application/json"} | named if data is not None else named
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def send_raw(self, *pieces: bytes, answers: int = 1, wait_s: float = 5.0) -> bytes:
        """Send bytes over a connection of their own, and return what comes back: so many answers, or all of a closed one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            for piece in pieces:
                connection.sendall(piece)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while received.count(b"}\n") < answers and (piece := connection.recv(65536)):
                    received += piece
            return received

    def peak_rss_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


@contextmanager
def http_worker(folder: Path, bootstrap: str, **http: Any) -> Iterator[HttpWorker]:
    """Run a worker. At the end it must stop gracefully, and its log must have no traceback."""
    with HttpWorker(folder, {"bootstrap": bootstrap}, http) as worker:
        worker.start()
        yield worker
        if worker.is_running:
            assert worker.stop() == 0, worker.output
        assert "Traceback" not in worker.output, worker.output


async def read_topic_values(bootstrap: str, topic: str, start: dict[int, int] | None = None):
    """Return all messages of a topic, from the given offsets, and the offsets of its end."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        await consumer._client.force_metadata_update()
        consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, (start or {}).get(partition.partition, 0))
        messages = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                messages += records
        return messages, {partition.partition: offset for partition, offset in ends.items()}


class TopicReader:
    """Messages that were written to a topic since the last call."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        _, self._offsets = asyncio.run(read_topic_values(bootstrap, topic))

    @staticmethod
    def read_all(bootstrap: str, topic: str):
        return asyncio.run(read_topic_values(bootstrap, topic))[0]

    def read_new(self):
        messages, self._offsets = asyncio.run(read_topic_values(self._bootstrap, self._topic, self._offsets))
        return messages
