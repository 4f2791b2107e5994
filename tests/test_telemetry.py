"""A service with the real SDK of OpenTelemetry and three instrumentations: its spans lead to an incident, over HTTP and Kafka.

Both ways get the same bytes. A local server stands for the Collector: it passes each export request to the HTTP worker,
and writes it to the topic ``otlp_spans`` as the Kafka exporter does.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.openai_server import OpenAIServer
from tests.services.texts import MARK, choose_answer
from tests.telemetry_server import Export, TelemetryServer
from tests.topologies.endpoint import free_port
from topologies.cli import command

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[1]
SERVICES_PYTHON = Path(sys.prefix) / "services" / "bin" / "python"
DIALECTS = ("genai", "openinference", "openllmetry_instrumentation")
"""Programs in ``tests/services`` that together are one service."""

SUBJECTS = ("http-support-bot", "kafka-support-bot")

CONFIGURATION = """
[kafka]
records_partitions = 2

[correlate]
announce_after_s = 0

[http]
listen = "127.0.0.1:{port}"

[http.telemetry]
subject = "http-{{service.name}}"

[intake.topics.otlp_spans]
format = "otlp_spans"
subject = "kafka-{{service.name}}"
"""


class System:
    """``driftwire up`` with a configuration, and the commands that follow it."""

    def __init__(self, folder: Path) -> None:
        kafka_port, http_port = free_port(), free_port()
        self.bootstrap, self.http = f"127.0.0.1:{kafka_port}", f"http://127.0.0.1:{http_port}"
        (folder / "driftwire.toml").write_text(CONFIGURATION.format(port=http_port))
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "topologies.cli", "up", "--config", "driftwire.toml", "--port", str(kafka_port)],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "client")))},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while "driftwire is up" not in self.log:
            assert self._up.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def run(self, *arguments: str) -> str:
        ended = CliRunner().invoke(command, [*arguments, "--bootstrap", self.bootstrap])
        assert ended.exit_code == 0, f"{arguments}\n{ended.output}"
        return ended.stdout

    def deploy_over_http(self, subject: str) -> None:
        deployment = {"deployment_id": "d-1", "timestamp": int(time.time() * 1000), "kind": "code", "subject": subject}
        request = urllib.request.Request(
            f"{self.http}/v1/deployments", json.dumps(deployment).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def wait_for_incidents(self, subjects: Sequence[str]) -> dict[str, Any]:
        """Wait until each subject has a refusal spike with a suspect."""
        deadline = time.monotonic() + 85
        found: dict[str, Any] = {}
        while found.keys() != set(subjects):
            assert time.monotonic() < deadline, f"{self.run('status')}\n{self.log}"
            incidents = [json.loads(line) for line in self.run("incidents", "--json").splitlines()]
            spikes = [incident for incident in incidents if incident["failure_mode"] == "refusal_spike"]
            found = {incident["subject"]: incident for incident in spikes if incident["suspects"]}
        return found

    def close(self) -> None:
        self._up.send_signal(signal.SIGINT)
        self._up.wait(30)


class Forwarding:
    """What stands between the service and driftwire: it sends each export of spans to the HTTP worker and to Kafka."""

    def __init__(self, system: System) -> None:
        self._url, kafka = system.http, {"bootstrap.servers": system.bootstrap}
        admin = AdminClient(kafka)
        admin.create_topics([NewTopic("otlp_spans", num_partitions=2)])["otlp_spans"].result()
        self._producer = Producer(kafka)

    def respond(self, export: Export) -> int:
        request = urllib.request.Request(f"{self._url}{export.path}", export.body)
        for name in ("content-type", "content-encoding"):
            if name in export.headers:
                request.add_header(name, export.headers[name])
        with urllib.request.urlopen(request, timeout=30) as answer:
            status = answer.status
        if export.path == "/v1/traces":
            self._producer.produce("otlp_spans", gzip.decompress(export.body))
            assert self._producer.flush(30) == 0
        return status


def read_everything(bootstrap: str) -> dict[str, list[bytes]]:
    """Return the keys and values of the messages of driftwire's topics."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True})
    topics = consumer.list_topics().topics
    partitions = [
        TopicPartition(topic, number, OFFSET_BEGINNING)
        for topic, metadata in topics.items()
        if topic.startswith("driftwire.")
        for number in metadata.partitions
    ]
    consumer.assign(partitions)
    found: dict[str, list[bytes]] = {}
    ended = 0
    while ended < len(partitions):
        for message in consumer.consume(1000, 1.0):
            if message.error() is not None:
                ended += 1
            else:
                found.setdefault(message.topic(), []).append((message.key() or b"") + (message.value() or b""))
    consumer.close()
    return found


def count_records(bootstrap: str) -> Counter[str]:
    """Return the number of records by subject."""
    messages = read_everything(bootstrap).get("driftwire.records", [])
    return Counter(json.loads(message[message.index(b"{") :])["subject"] for message in messages)


def wait_for_records(bootstrap: str, count: int) -> None:
    """Wait until each subject has a number of records."""
    deadline = time.monotonic() + 60
    while (found := count_records(bootstrap)) != dict.fromkeys(SUBJECTS, count):
        assert time.monotonic() < deadline, (found, count)
        time.sleep(0.5)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path)
    yield system
    system.close()


def test_spans_over_http_and_over_kafka_lead_to_an_incident_with_the_prompt_as_the_suspect(system):
    system.wait_until_up()
    forwarding = Forwarding(system)
    with OpenAIServer(choose_answer) as model, TelemetryServer(forwarding.respond) as telemetry:

        def serve(version: str, refusal_rate: float, seconds: int) -> "list[subprocess.Popen[bytes]]":
            addresses = ("--openai", model.url, "--telemetry", telemetry.url)
            traffic = ("--prompt-version", version, "--refusal-rate", str(refusal_rate), "--seconds", str(seconds))
            return [
                subprocess.Popen(
                    [SERVICES_PYTHON, "-m", f"tests.services.{dialect}", "--content", *addresses, *traffic], cwd=ROOT
                )
                for dialect in DIALECTS
            ]

        assert [service.wait() for service in serve("7", 0.02, 12)] == [0, 0, 0]
        wait_for_records(system.bootstrap, len(model.requests))
        for subject in SUBJECTS:
            learning = ("--topic", "driftwire.records", "--subject", subject, "--since", "1h")
            enough = ("--ready-after", "10s", "--ready-records", "100")
            assert "refused is not monitored" not in system.run("baseline", "learn", *learning, *enough, "--publish")
        for subject in SUBJECTS:
            system.run("deployed", "--subject", subject, "--kind", "prompt", "--from", "7", "--to", "8")
        system.deploy_over_http("http-suport-bot")
        services = serve("8", 0.5, 90)
        try:
            incidents = system.wait_for_incidents(SUBJECTS)
        finally:
            for service in services:
                service.terminate()
            # A service that had not begun to send yet is ended by the signal.
            assert {service.wait(30) for service in services} <= {0, -signal.SIGTERM}
        requests = len(model.requests)

    for subject in SUBJECTS:
        suspect = incidents[subject]["suspects"][0]
        assert (suspect["kind"], suspect["from_version"], suspect["to_version"]) == ("prompt", "7", "8")
    wait_for_records(system.bootstrap, requests)
    messages = read_everything(system.bootstrap)
    assert "driftwire.dead-letters" not in messages
    for topic, values in messages.items():
        assert not [value for value in values if MARK.encode() in value], topic
    assert MARK not in system.log
    unseen = 'detect has read no records of "http-suport-bot" yet; did you mean "http-support-bot"?'
    assert f"a deployment was written, but {unseen}" in system.log
