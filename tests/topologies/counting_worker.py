"""A worker for tests of the runtime. Its step counts records and hashes their offsets in order."""

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence

import faust

from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.topics import BASELINES, DRIFTS, RECORDS
from tests.topologies.faults import install_from_environment
from topologies.configuration.configuration import KafkaSettings
from topologies.runtime.application import build_application
from topologies.runtime.topology_spec import TopologySpec

OUTPUT_EVERY = 500

SESSION_TIMEOUT_S = 3.0
"""Seconds after which the partitions of a dead or suspended worker move: shorter than usual, for quick tests."""

POISON = b"poison"

UNWRITABLE = b"unwritable"
"""A record after which the step cannot write its state."""

GROW = b"grow:"
"""Prefix of a record that requests an output of the number of bytes that follows."""

KEYLESS = b"keyless"
"""A record that requests an output without a key, which is invalid on a compacted topic."""


class CountingStep:
    """Writes an output every 500 records, with a count and a hash that reveal a lost, repeated or misplaced record.

    The offset of the first record is a part of the state that is written once, so its loss reveals an incomplete state.
    """

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._count = 0
        self._hash = ""
        self._is_writable = True
        self._first: int | None = None
        self._is_first_written = True

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        for key, value in parts:
            if key == b"first":
                self._first = json.loads(value)
            else:
                self._count, self._hash = json.loads(value)
        return iter(())

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        outputs = []
        for message in messages:
            if self._first is None:
                self._first, self._is_first_written = message.offset, False
            self._count += 1
            self._hash = hashlib.sha256(f"{self._hash}{message.offset}".encode()).hexdigest()
            if message.value is not None and message.value.startswith(POISON):
                raise RuntimeError("this message is poison")
            if message.value == UNWRITABLE:
                self._is_writable = False
            if message.value is not None and message.value.startswith(GROW):
                outputs.append(OutputMessage(DRIFTS, b"big", b"x" * int(message.value.removeprefix(GROW))))
            if message.value == KEYLESS:
                outputs.append(OutputMessage(DRIFTS, None, b"without a key"))
            if self._count % OUTPUT_EVERY == 0:
                outputs.append(self._output("count", self._count))
        return outputs

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:
        if message.value == POISON:
            raise RuntimeError("this control message is poison")
        return [self._output("control", (message.value or b"").decode())]

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        return []

    def measure(self) -> Iterator[Measurement]:
        return iter(())

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        if not self._is_writable:
            raise RuntimeError("this state cannot be written")
        yield b"count", json.dumps([self._count, self._hash]).encode()
        if not self._is_first_written:
            self._is_first_written = True
            yield b"first", json.dumps(self._first).encode()

    def mark_all(self) -> None:
        self._is_first_written = False

    def on_gap(self) -> list[OutputMessage]:
        print(f"partition {self._partition}: gap", flush=True)
        return []

    def _output(self, kind: str, value: int | str) -> OutputMessage:
        content = {
            "kind": kind,
            "partition": self._partition,
            "value": value,
            "hash": self._hash,
            "first": self._first,
        }
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
