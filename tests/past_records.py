"""Past records of a service: quiet, and from a given record on with a failure."""

import json
import random
from collections.abc import Iterator

from pipeline.detect.settings import DetectSettings
from schemas.deployment import Deployment

START_MS = 1_795_000_000_000
STEP_MS = 100
CHANGE = 4500
"""Number of the first record of the failure."""

SETTINGS = DetectSettings(ready_records=1000, ready_records_rate=1000)


def past_records(
    *, refused: float = 0.01, count: int = 6000, change: int = CHANGE, subject: str = "bot", start: int = 0, **fields
) -> Iterator[bytes]:
    """Yield records, ten a second. From the record ``change`` on, a share ``refused`` of the requests is refused."""
    world = random.Random(3)
    for number in range(start, count):
        rate = refused if number >= change else 0.01
        record = {
            "subject": subject,
            "request_id": f"{subject}-{number}",
            "timestamp": time_of(number),
            "versions": {"prompt": "v2" if number >= change else "v1"},
            "infrastructure": {"latency_ms": round(world.lognormvariate(6, 0.5), 3)},
            "output": {"refused": world.random() < rate},
            **fields,
        }
        yield json.dumps(record).encode()


def time_of(number: int) -> int:
    """Return the time of a record in Unix ms."""
    return START_MS + number * STEP_MS


def deployment(number: int = CHANGE, **fields) -> Deployment:
    """Return the deployment of the prompt that begins to refuse."""
    content = {
        "deployment_id": "d-1",
        "subject": "bot",
        "kind": "prompt",
        "from_version": "v1",
        "to_version": "v2",
        "timestamp": time_of(number),
    }
    return Deployment.model_validate(content | fields)
