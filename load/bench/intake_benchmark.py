"""Processor time of the intake step per record, compared with only parsing the same bytes."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from load.bench.machine import describe_machine
from load.bench.telemetry_messages import write_spans
from pipeline.intake import IntakeSettings, IntakeStep
from pipeline.step import RawMessage
from schemas.timestamp import format_timestamp
from topologies.intake import choose_partition

ROUNDS = 5
PARTITIONS = 12
START_MS = 1_795_489_920_000
TOPIC = "llm.requests"

SETTINGS = {
    "map": (
        "finished_at=timestamp",
        "id=request_id",
        "usage.latency=latency_ms:s",
        "usage.prompt_tokens=input_tokens",
        "usage.completion_tokens=output_tokens",
        "model=versions.model",
        "failed=error",
        "choices.0.finish_reason=finish_reason",
        "tenant=segment.tenant",
    ),
    "constants": {"environment": "production"},
    "subject": "{app}-{endpoint}",
}
"""A mapping of nine fields, a constant and a subject by a rule."""


@dataclass(frozen=True, slots=True)
class IntakeBenchmark:
    """Medians of several rounds: microseconds of processor time per record."""

    records: int
    bytes_per_record: float
    parse_us: float
    intake_us: float

    @property
    def ratio(self) -> float:
        """Time of the intake step as a multiple of the time of the parse."""
        return self.intake_us / self.parse_us

    def to_json(self) -> dict[str, Any]:
        """Return the result and the machine."""
        return asdict(self) | {"ratio": self.ratio, "machine": describe_machine()}


def run_intake_benchmark(seed: int, records: int) -> IntakeBenchmark:
    """Measure the step on messages of one JSON object each, such as a service of a language model logs."""
    generator = random.Random(seed)
    values = [_message(generator, number) for number in range(records)]
    return _measure(values, SETTINGS, orjson.loads, records)


def run_telemetry_benchmark(seed: int, records: int) -> IntakeBenchmark:
    """Measure the step on export requests of OpenTelemetry in Protobuf, with 100 inference spans each."""
    values = write_spans(random.Random(seed), START_MS, records)
    return _measure(values, {"format": "otlp_spans"}, ExportTraceServiceRequest.FromString, records)


def _measure(
    values: list[bytes], settings: dict[str, Any], parse: Callable[[bytes], object], records: int
) -> IntakeBenchmark:
    messages = [RawMessage(TOPIC, 0, number, START_MS, None, value) for number, value in enumerate(values)]
    topics = IntakeSettings.model_validate({"topics": {TOPIC: settings}}).topics
    step = IntakeStep(topics, lambda key: choose_partition(key, PARTITIONS))

    def parse_all() -> None:
        for value in values:
            parse(value)

    rounds = [
        (_processor_us(parse_all, records), _processor_us(lambda: step.step(messages), records)) for _ in range(ROUNDS)
    ]
    return IntakeBenchmark(
        records=records,
        bytes_per_record=sum(map(len, values)) / records,
        parse_us=median(parse_us for parse_us, _ in rounds),
        intake_us=median(intake_us for _, intake_us in rounds),
    )


def _processor_us(work: Callable[[], object], records: int) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1e6 / records


def _message(generator: random.Random, number: int) -> bytes:
    content = {
        "id": f"request-{number:08d}",
        "app": "shop",
        "endpoint": generator.choice(("chat", "search", "returns")),
        "finished_at": format_timestamp(START_MS + 100 * number),
        "model": "model-2026-11-01",
        "failed": generator.random() < 0.01,
        "tenant": f"tenant-{generator.randrange(50)}",
        "usage": {"latency": generator.lognormvariate(0, 0.5), "prompt_tokens": 812, "completion_tokens": 120},
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 120}}],
        "messages": [{"role": "user", "content": "word " * 200}],
    }
    return json.dumps(content).encode()
