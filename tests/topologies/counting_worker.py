"""A worker for tests of the runtime. Its step counts records and hashes their offsets in order."""

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence

import faust

from pipeline.step import InputMessage, OutputMessage
from schemas.topics import BASELINES, DRIFTS, RECORDS
from tests.topologies.faults import install_from_environment
from topologies.configuration.configuration import KafkaSettings
from topologies.runtime.application import build_application
from topologies.runtime.topology_spec import TopologySpec

OUTPUT_EVERY = 500

SESSION_TIMEOUT_S = 3.0
"""Seconds after which the partitions of a dead or suspended worker move: shorter than usual, for quick tests."""

POISON = b"poison"

GROW = b"grow:"
"""Prefix of a record that requests an output of the number of bytes that follows."""


class CountingStep:
    """Writes an output every 500 records, with a count and a hash that reveal a lost, repeated or misplaced record."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._count = 0
        self._hash = ""

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        for _, value in parts:
            self._count, self._hash = json.loads(value)
        return iter(())

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        outputs = []
        for message in messages:
            self._count += 1
            self._hash = hashlib.sha256(f"{self._hash}{message.offset}".encode()).hexdigest()
            if message.value is not None and message.value.startswith(POISON):
                raise RuntimeError("this message is poison")
            if message.value is not None and message.value.startswith(GROW):
                outputs.append(OutputMessage(DRIFTS, b"big", b"x" * int(message.value.removeprefix(GROW))))
            if self._count % OUTPUT_EVERY == 0:
                outputs.append(self._output("count", self._count))
        return outputs

    def control(self, message: InputMessage) -> list[OutputMessage]:
        if message.value == POISON:
            raise RuntimeError("this control message is poison")
        return [self._output("control", (message.value or b"").decode())]

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        return []

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        yield b"count", json.dumps([self._count, self._hash]).encode()

    def mark_all(self) -> None:
        pass  # every checkpoint contains the only part

    def on_gap(self) -> list[OutputMessage]:
        print(f"partition {self._partition}: gap", flush=True)
        return []

    def _output(self, kind: str, value: int | str) -> OutputMessage:
        content = {"kind": kind, "partition": self._partition, "value": value, "hash": self._hash}
        return OutputMessage(DRIFTS, b"key", json.dumps(content).encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    bootstrap = parser.parse_args().bootstrap
    install_from_environment()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    app = build_application(
        TopologySpec(name="detect", topics=(RECORDS,), make_step=CountingStep, control_topic=BASELINES),
        KafkaSettings(
            bootstrap=bootstrap, app_id="counting", checkpoint_interval_s=0.5, session_timeout_s=SESSION_TIMEOUT_S
        ),
        replay=True,
    )
    faust.Worker(app, loglevel="WARN", quiet=True, redirect_stdouts=False, stdout=sys.stdout).execute_from_commandline()


if __name__ == "__main__":
    main()
