"""Record the telemetry files again: what SDKs post over HTTP, and what a Collector writes to Kafka.

The README beside the files names the environments and versions. From the folder of the repository::

    python -m tests.pipeline.intake.telemetry.record sdk genai --python .venv/services/bin/python
    (cd tests/pipeline/intake/telemetry/collector && go build -o /tmp/collector .)
    python -m tests.pipeline.intake.telemetry.record collector --binary /tmp/collector
"""

import argparse
import asyncio
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.openai_server import OpenAIServer
from tests.services.texts import choose_answer
from tests.telemetry_server import TelemetryServer
from tests.topologies.endpoint import free_port
from topologies.broker import EmbeddedBroker

ROOT = Path(__file__).parents[4]
RECORDED = Path(__file__).with_name("recorded")
DIALECTS = ("genai", "genai_2025", "openinference", "openllmetry", "openllmetry_2024", "vllm")
PROGRAMS = {"openllmetry_2024": "openllmetry_instrumentation"}
"""Programs of the dialects whose program has another name."""

SIGNALS = {"traces": "otlp_spans", "logs": "otlp_logs"}
"""Signals of OpenTelemetry, with the topics of the Kafka exporter."""

BATCH_S = 2
"""Seconds that the Collector waits for more before it writes a message."""

COLLECTOR = """
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{port}
processors:
  batch:
    timeout: {batch_s}s
exporters:
  kafka:
    brokers: [{bootstrap}]
  kafka/json:
    brokers: [{bootstrap}]
    traces:
      topic: otlp_spans_json
      encoding: otlp_json
    logs:
      topic: otlp_logs_json
      encoding: otlp_json
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [kafka, kafka/json]
    logs:
      receivers: [otlp]
      processors: [batch]
      exporters: [kafka, kafka/json]
"""


def record_sdk(dialect: str, python: str, *, content: bool) -> None:
    """Run a service once, and keep what its exporters post."""
    with OpenAIServer(choose_answer) as model, TelemetryServer() as server:
        command = [
            python,
            "-m",
            f"tests.services.{PROGRAMS.get(dialect, dialect)}",
            "--openai",
            model.url,
            "--telemetry",
            server.url,
        ]
        subprocess.run([*command, *(["--content"] if content else [])], cwd=ROOT, check=True)
    name = dialect if content else f"{dialect}_without_content"
    for signal in SIGNALS:
        bodies = [export.body for export in server.exports if export.path == f"/v1/{signal}"]
        if len(bodies) > 1:
            raise SystemExit(f"{dialect}: {len(bodies)} exports of {signal} instead of one; record again")
        if bodies:
            write_recorded(RECORDED / f"{name}.{signal}.pb", bodies[0])


async def record_collector(binary: str) -> None:
    """Send what the SDKs posted to a Collector, and keep what it writes to Kafka."""
    topics = [f"{topic}{suffix}" for topic in SIGNALS.values() for suffix in ("", "_json")]
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedBroker(Path(folder) / "broker") as broker:
            await create_topics(broker.bootstrap, topics)
            async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
                consumer.assign([TopicPartition(topic, 0) for topic in topics])
                await consumer.seek_to_beginning()
                port = free_port()
                configuration = Path(folder) / "collector.yaml"
                configuration.write_text(
                    COLLECTOR.format(port=port, bootstrap=broker.bootstrap, batch_s=BATCH_S), encoding="utf-8"
                )
                process = await asyncio.create_subprocess_exec(binary, "--config", str(configuration))
                try:
                    await wait_for_port(port)
                    await record_messages(consumer, port)
                finally:
                    process.terminate()
                    await process.wait()


async def record_messages(consumer: AIOKafkaConsumer, port: int) -> None:
    """Keep the JSON form of each dialect, and the protobuf form of all dialects in one message."""
    for dialect in DIALECTS:
        signals = [signal for signal in SIGNALS if (RECORDED / f"{dialect}.{signal}.pb").exists()]
        for signal in signals:
            post(port, signal, (RECORDED / f"{dialect}.{signal}.pb").read_bytes())
        messages = await read_messages(consumer, 2 * len(signals))
        for signal in signals:
            value = messages[f"{SIGNALS[signal]}_json"].value
            write_recorded(RECORDED / f"{dialect}.{signal}.json", value)
    for file in (RECORDED / f"{dialect}.{signal}.pb" for dialect in DIALECTS for signal in SIGNALS):
        if file.exists():
            post(port, file.name.split(".")[1], file.read_bytes())
    messages = await read_messages(consumer, 2 * len(SIGNALS))
    for topic in SIGNALS.values():
        write_recorded(RECORDED / f"{topic}.pb", messages[topic].value)


async def read_messages(consumer: AIOKafkaConsumer, count: int) -> dict[str, "ConsumerRecord[Any, Any]"]:
    """Return one message of each of ``count`` topics."""
    found: dict[str, ConsumerRecord[Any, Any]] = {}
    async with asyncio.timeout(30):
        while len(found) < count:
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    if message.topic in found:
                        raise SystemExit(f"two messages in {message.topic} instead of one; record again")
                    if message.key is not None or message.headers:
                        raise SystemExit(f"{message.topic}: the message has a key or headers; say so in the README")
                    found[message.topic] = message
    return found


async def create_topics(bootstrap: str, topics: Sequence[str]) -> None:
    """Create topics with one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    await admin.close()


async def wait_for_port(port: int) -> None:
    """Wait until a server accepts connections."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.2)
            else:
                writer.close()
                return


def post(port: int, signal: str, body: bytes) -> None:
    """Send an export request to the Collector."""
    headers = {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/{signal}", body, headers)
    with urllib.request.urlopen(request):
        pass


def write_recorded(file: Path, value: bytes) -> None:
    """Write a recorded file, unless it contains a path of this machine."""
    for path in (ROOT, Path.home()):
        if str(path).encode() in value:
            raise SystemExit(f"{file.name} contains {path}; use an environment in a folder that says nothing")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(value)
    print(f"{file.name}: {len(value)} bytes")


def main() -> None:
    parser = argparse.ArgumentParser()
    sources = parser.add_subparsers(dest="source", required=True)
    sdk = sources.add_parser("sdk")
    sdk.add_argument("dialect", choices=DIALECTS)
    sdk.add_argument("--python", required=True)
    sdk.add_argument("--without-content", action="store_true")
    collector = sources.add_parser("collector")
    collector.add_argument("--binary", required=True)
    options = parser.parse_args()
    if options.source == "sdk":
        record_sdk(options.dialect, options.python, content=not options.without_content)
    else:
        asyncio.run(record_collector(options.binary))


if __name__ == "__main__":
    main()
