"""Real workers on a real Kafka: each serves the metrics of the list and no others, and says whether it is ready."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from schemas.topics import DRIFTS, RECORDS
from tests.pipeline.correlate.builders import drift, tick
from topologies.broker import EmbeddedBroker
from topologies.configuration import Configuration
from topologies.kafka import write_message
from topologies.metrics import METRICS
from topologies.metrics.metric_list import ALL_STEPS
from topologies.processes import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

INPUT = "llm.requests"
TOKEN = "metrics-token"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrapes:
    """The addresses that the workers printed, and requests to them."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.lines: list[str] = []
        self._session = session

    def address(self, step: str) -> str:
        marker = f"{step}: metrics at "
        return next(line.partition(marker)[2] for line in self.lines if marker in line).removesuffix("/metrics")

    async def get(self, step: str, path: str, *, token: str | None = TOKEN, **headers: str) -> tuple[int, str]:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.get(self.address(step) + path, headers=headers) as response:
            return response.status, await response.text()

    async def read(self, step: str) -> dict[str, object]:
        """Return the metrics of a worker by name, with the suffix of counters."""
        status, text = await self.get(step, "/metrics")
        assert status == 200, text
        families = read_text(text)
        return {one.name + ("_total" if one.type == "counter" else ""): one for one in families}

    async def value(self, step: str, name: str, **labels: str) -> float:
        samples = (await self.read(step))[name].samples
        wanted = {"step": step} | labels if name.startswith("driftwire_") else labels
        return sum(one.value for one in samples if one.name == name and wanted.items() <= one.labels.items())

    async def wait_for(self, step: str, name: str, value: float, **labels: str) -> None:
        deadline = time.monotonic() + 30
        while (found := await self.value(step, name, **labels)) != value:
            assert time.monotonic() < deadline, (name, labels, found)
            await asyncio.sleep(0.1)


def records(*latencies: object) -> bytes:
    start_ms = int(time.time() * 1000) - 10 * len(latencies)
    return json.dumps(
        [
            {"subject": "bot", "timestamp": start_ms + 10 * i, "infrastructure": {"latency_ms": one}}
            for i, one in enumerate(latencies)
        ]
    ).encode()


@contextlib.asynccontextmanager
async def running_workers(broker: EmbeddedBroker, folder: Path):
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    configuration = Configuration.model_validate(
        {
            "kafka": {"checkpoint_interval_s": 0.2},
            "intake": {
                "topics": {
                    INPUT: {"subject": "bot", "map": ["latency=infrastructure.latency_ms"], "message_time": True}
                }
            },
            "correlate": {"announce_after_s": 0},
            "metrics": {"listen": "127.0.0.1:0", "token_file": str(folder / "token")},
        }
    )
    admin = AIOKafkaAdminClient(**broker.cluster.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(INPUT, 1, 1)])
    await admin.close()
    async with aiohttp.ClientSession() as session:
        scrapes = Scrapes(session)
        topology = Topology(configuration, data_folder=folder, cluster=broker.cluster, on_line=scrapes.lines.append)
        async with topology:
            yield scrapes


async def test_each_worker_serves_the_metrics_of_the_list_and_what_happened(empty_broker, tmp_path):
    cluster = empty_broker.cluster
    async with running_workers(empty_broker, tmp_path) as scrapes:
        for step in ALL_STEPS:
            assert await scrapes.get(step, "/healthz", token=None) == (200, '{"status":"ok"}\n')
            assert (await scrapes.get(step, "/readyz", token=None))[0] == 200
            assert (await scrapes.get(step, "/metrics", token=None))[0] == 401
            assert (await scrapes.get(step, "/other"))[0] == 404
        await write_message(cluster, RECORDS, b"bot", records(*range(100, 120), "slow"))
        await write_message(cluster, RECORDS, b"bot", b"no json")
        now_ms = int(time.time() * 1000)
        found = drift(start=now_ms - 6_000)
        await write_message(cluster, DRIFTS, b"bot", found.to_json())
        await write_message(cluster, DRIFTS, None, tick(now_ms).to_json())
        await write_message(cluster, INPUT, None, b'{"latency":12}')

        await scrapes.wait_for("detect", "driftwire_records_total", 22, outcome="used")
        await scrapes.wait_for("detect", "driftwire_dead_letters_total", 1, reason="not_json")
        await scrapes.wait_for("detect", "driftwire_bad_fields_total", 1, reason="is_text")
        await scrapes.wait_for("detect", "driftwire_lag_messages", 0)
        assert await scrapes.value("detect", "driftwire_streams", state="learning") >= 1
        assert await scrapes.value("detect", "driftwire_fetched_bytes_total", topic=RECORDS) > 1_000
        assert await scrapes.value("detect", "driftwire_partitions", state="ready") == 4
        assert time.time() - 60 < await scrapes.value("detect", "driftwire_watermark_timestamp_seconds")
        assert await scrapes.value("detect", "driftwire_checkpoint_bytes_total") > 0
        assert 1e7 < await scrapes.value("detect", "process_resident_memory_bytes") < 2e9
        await scrapes.wait_for("correlate", "driftwire_incidents_total", 1)
        assert await scrapes.value("correlate", "driftwire_open_incidents") == 1
        await scrapes.wait_for("route", "driftwire_notifications_total", 1, outcome="sent", receiver="console")
        await scrapes.wait_for("route", "driftwire_owed_notifications", 0, receiver="console")
        await scrapes.wait_for("intake", "driftwire_messages_total", 1, topic=INPUT)

        for step in ALL_STEPS:
            served = await scrapes.read(step)
            assert set(served) == {metric.name for metric in METRICS if step in metric.steps}
            for metric in METRICS:
                if step in metric.steps:
                    family = served[metric.name]
                    assert (family.type, family.documentation) == (metric.kind, metric.meaning) or metric.is_standard
                    labels = {name for sample in family.samples for name in sample.labels} - {"le", "step"}
                    assert labels in (set(metric.labels), set())
                    assert labels or not metric.initial_labels
            for kind in ("repeated_offset", "offset_gap", "commit_went_back"):
                assert await scrapes.value(step, "driftwire_order_violations_total", kind=kind) == 0
            assert await scrapes.value(step, "driftwire_transactions_aborted_total") == 0

        _, text = await scrapes.get("correlate", "/metrics", Accept=OPENMETRICS)
        exemplars = [
            sample.exemplar.labels
            for family in read_openmetrics(text)
            for sample in family.samples
            if sample.exemplar is not None
        ]
        assert len(exemplars) == 1
        assert list(exemplars[0]) == ["incident_id"]

        # Kafka stops: the worker still answers at once that it is alive.
        await empty_broker.stop()
        assert (await scrapes.get("detect", "/healthz", token=None))[0] == 200
