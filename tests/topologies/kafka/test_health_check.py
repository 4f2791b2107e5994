"""The health check of a reader tells a Kafka that does not answer from a worker that is busy."""

import asyncio
import time

import pytest
from aiokafka.client import AIOKafkaClient

from schemas.topics import RECORDS
from tests.process_signals import suspend
from topologies.kafka import HealthCheck
from topologies.kafka.health_check import ANSWER_TIMEOUT_S

pytestmark = pytest.mark.kafka


async def test_a_busy_event_loop_is_not_a_kafka_that_does_not_answer(broker, caplog):
    client = AIOKafkaClient(**broker.cluster.client_options())
    await client.bootstrap()
    check = HealthCheck(broker.cluster)
    await check.run(client, [RECORDS])
    checking = asyncio.create_task(check.run(client, [RECORDS]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(ANSWER_TIMEOUT_S + 0.5)  # noqa: ASYNC251  a step that takes long
    await checking
    await client.close()
    assert (check.problem, caplog.text) == ("", "")


async def test_a_kafka_that_does_not_answer_is_logged_once(empty_broker, caplog):
    client = AIOKafkaClient(**empty_broker.cluster.client_options())
    await client.bootstrap()
    check = HealthCheck(empty_broker.cluster)
    suspend(empty_broker.pid)
    await check.run(client, [RECORDS])
    await check.run(client, [RECORDS])
    await client.close()
    assert caplog.text.count(f"Kafka at {empty_broker.bootstrap} does not answer; waiting for it") == 1
