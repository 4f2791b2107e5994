"""Faults for a worker that kills or suspends itself between two writes of a checkpoint."""

import os
import signal
from typing import Any

from aiokafka import AIOKafkaProducer

VARIABLE = "DRIFTWIRE_TEST_FAULT"
"""Environment variable of the fault. ``after_outputs:3:SIGKILL`` means: die in the third checkpoint that has outputs."""

STAGES = ("after_outputs", "after_state", "after_offsets")


def install_from_environment() -> None:
    """Install the fault from the environment, if there is one."""
    fault = os.environ.get(VARIABLE)
    if fault:
        stage, count, name = fault.split(":")
        assert stage in STAGES
        _install(stage, int(count), signal.Signals[name])


def _install(stage: str, count: int, number: signal.Signals) -> None:
    """Observe what each transaction writes, and send a signal to this process once, at a stage of the given one."""
    begin, send_batch = AIOKafkaProducer.begin_transaction, AIOKafkaProducer.send_batch
    send_offsets = AIOKafkaProducer.send_offsets_to_transaction
    topics_by_producer: dict[AIOKafkaProducer, list[str]] = {}
    transactions_left = count

    async def strike_at(producer: AIOKafkaProducer, reached: str) -> None:
        nonlocal transactions_left
        if reached != stage or not any(not name.endswith("-checkpoints") for name in topics_by_producer[producer]):
            return
        transactions_left -= 1
        if transactions_left == 0:
            await producer.flush()  # everything written so far must reach the broker
            os.kill(os.getpid(), number)

    async def begin_and_forget(self: AIOKafkaProducer) -> None:
        topics_by_producer[self] = []
        await begin(self)

    async def send_and_strike(self: AIOKafkaProducer, batch: Any, topic: str, **options: Any) -> Any:
        topics = topics_by_producer[self]
        if topic.endswith("-checkpoints") and not any(name.endswith("-checkpoints") for name in topics):
            await strike_at(self, "after_outputs")
        topics.append(topic)
        return await send_batch(self, batch, topic, **options)

    async def send_offsets_and_strike(self: AIOKafkaProducer, *arguments: Any, **options: Any) -> None:
        await strike_at(self, "after_state")
        await send_offsets(self, *arguments, **options)
        await strike_at(self, "after_offsets")

    AIOKafkaProducer.begin_transaction = begin_and_forget  # type: ignore[method-assign]
    AIOKafkaProducer.send_batch = send_and_strike  # type: ignore[method-assign]
    AIOKafkaProducer.send_offsets_to_transaction = send_offsets_and_strike  # type: ignore[method-assign]
