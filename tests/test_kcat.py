"""An independent client, kcat, writes to a running ``driftwire up`` and reads its output."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from load.harness.lag import wait_for_lag
from schemas.timestamp import format_timestamp, parse_timestamp
from schemas.topics import ALERTS, DEAD_LETTERS, DEPLOYMENTS, RECORDS, topic
from tests.detect_state import restored
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration.configuration import Configuration
from topologies.kafka import Cluster

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed (Debian: apt-get install kcat)"),
]

EXAMPLES = Path(__file__).parent.parent / "schemas" / "examples"
SUBJECT = "kcat-bot"
SEED = 7
DAY_MS = 86_400_000
HEALTHY_S = FAILING_S = 60
RECORDS_PER_SECOND = 50
INCIDENT_TIMEOUT_S = 30
CONFIGURATION = Configuration()


def now_ms() -> int:
    return int(time.time() * 1000)


def run_command(module: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Kcat:
    """kcat with one broker."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def write(self, name: str, *arguments: object, lines: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Write one message per line of standard input, or one message per file."""
        call = ["kcat", "-P", "-b", self.cluster.bootstrap, "-t", name, *map(str, arguments)]
        return subprocess.run(call, input=lines, check=False, capture_output=True, timeout=30)

    def read(self, name: str) -> list[dict[str, Any]]:
        """Read all messages of a topic. By default librdkafka reads committed messages only."""
        call = ["kcat", "-C", "-b", self.cluster.bootstrap, "-t", name, "-o", "beginning", "-e", "-q"]
        done = subprocess.run(call, check=True, capture_output=True, timeout=30)
        return [json.loads(line) for line in done.stdout.splitlines()]


def assert_accepted(done: subprocess.CompletedProcess[bytes]) -> None:
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture(scope="module")
def kcat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kcat]:
    """kcat with a ``driftwire up`` that has just been started, live and with the default settings."""
    folder = tmp_path_factory.mktemp("up")
    with WorkerUnderTest(
        ["-m", "topologies.cli", "up", "--port", "0", "--data", str(folder / "data")], folder / "log"
    ) as up:
        up.start()
        up.wait_for_output("Ctrl-C stops it.")
        yield Kcat(Cluster(up.output.split("driftwire is up: Kafka at ")[1].split(",")[0]))
        assert up.stop() == 0
        assert "Traceback" not in up.output
        assert "driftwire has stopped." in up.output


@pytest.fixture(scope="module")
def validators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Draft202012Validator]:
    """A standard validator per schema of ``driftwire schema export``, which also checks formats."""
    folder = tmp_path_factory.mktemp("schemas")
    run_command("topologies.cli", "schema", "export", folder)
    by_message = {}
    for file in folder.iterdir():
        schema = json.loads(file.read_text())
        Draft202012Validator.check_schema(schema)
        by_message[file.name.split(".")[0]] = Draft202012Validator(
            schema, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
    return by_message


def wait_for_steps(kcat: Kcat, *steps: str) -> None:
    asyncio.run(wait_for_lag(kcat.cluster, CONFIGURATION.kafka.app_id, steps=steps))


def generate(*options: object) -> bytes:
    return run_command("load.cli", "generate", "--seed", SEED, "--subject", SUBJECT, *options).encode()


def publish_baseline(kcat: Kcat, folder: Path, begin_ms: int) -> None:
    """Learn and publish the baseline of the day before, as before a go-live."""
    records, baseline = folder / "records.ndjson", folder / "baseline.json"
    start = format_timestamp(begin_ms - 2 * DAY_MS)
    records.write_bytes(generate("--start", start, "--rate", 0.25, "--records", 24_000))
    run_command("topologies.cli", "baseline", "learn", records, "-o", baseline)
    run_command("topologies.cli", "baseline", "publish", baseline, "--bootstrap", kcat.cluster.bootstrap)


def wait_for_suspect(kcat: Kcat) -> list[dict[str, Any]]:
    """Return the revisions of the incident once the last one has a suspect."""
    deadline = time.monotonic() + INCIDENT_TIMEOUT_S
    while not (incidents := kcat.read(ALERTS)) or not incidents[-1]["suspects"]:
        assert time.monotonic() < deadline, f"no incident with a suspect: {incidents}"
        time.sleep(0.2)
    return incidents


def test_records_from_kcat_become_an_incident_that_kcat_reads_and_a_standard_validator_accepts(
    kcat, validators, tmp_path
):
    begin_ms = now_ms() - (HEALTHY_S + FAILING_S) * 1000
    deployed_ms = begin_ms + HEALTHY_S * 1000
    publish_baseline(kcat, tmp_path, begin_ms)
    options = ("--start", format_timestamp(begin_ms), "--rate", RECORDS_PER_SECOND)
    count = (HEALTHY_S + FAILING_S) * RECORDS_PER_SECOND
    failing = generate(*options, "--records", count, "--failure", f"refusal_spike@{HEALTHY_S}")
    lines = failing.splitlines(keepends=True)
    times = [parse_timestamp(json.loads(line)["timestamp"]) for line in lines]
    healthy_count = next(index for index, time_ms in enumerate(times) if time_ms >= deployed_ms)
    deployment = json.loads((EXAMPLES / "deployment" / "prompt.json").read_text())
    deployment |= {"subject": SUBJECT, "timestamp": format_timestamp(deployed_ms)}
    validators["deployment"].validate(deployment)
    validators["record"].validate(json.loads(lines[-1]))

    assert_accepted(kcat.write(RECORDS, "-k", SUBJECT, lines=b"".join(lines[:healthy_count])))
    wait_for_steps(kcat, "detect", "correlate")
    assert kcat.read(ALERTS) == []
    assert_accepted(kcat.write(DEPLOYMENTS, "-k", deployment["deployment_id"], lines=json.dumps(deployment).encode()))
    assert_accepted(kcat.write(RECORDS, "-k", SUBJECT, lines=b"".join(lines[healthy_count:])))
    incidents = wait_for_suspect(kcat)

    print(f"\n{incidents[-1]['severity']} {incidents[-1]['summary']}")
    for incident in incidents:
        validators["incident"].validate(incident)
        assert (incident["subject"], incident["failure_mode"]) == (SUBJECT, "refusal_spike")
    assert incidents[-1]["suspects"][0]["deployment_id"] == deployment["deployment_id"]
    assert [letter["detail"] for letter in kcat.read(DEAD_LETTERS) if letter["step"] == "correlate"] == []
    for field, wrong in (("started_at", "yesterday"), ("severity", "P9"), ("revision", 0)):
        assert not validators["incident"].is_valid(incidents[-1] | {field: wrong})


def test_the_example_records_are_used_unless_their_time_is_out_of_range(kcat, validators, tmp_path):
    files = sorted((EXAMPLES / "record").glob("*.json"))
    letters_before = len(kcat.read(DEAD_LETTERS))
    assert_accepted(kcat.write(RECORDS, *files))
    now = now_ms()
    wait_for_steps(kcat, "detect")
    letters = kcat.read(DEAD_LETTERS)[letters_before:]
    reasons = [(letter["reason"], json.loads(b64decode(letter["value_base64"]))) for letter in letters]
    records = [record for file in files for record in as_list(json.loads(file.read_text()))]
    out_of_range = [record for record in records if not is_in_range(parse_timestamp(record["timestamp"]), now)]
    print("\nout of range:", ", ".join(f"{record['subject']} at {record['timestamp']}" for record in out_of_range))
    assert sorted(reasons, key=str) == sorted((("timestamp_out_of_range", record) for record in out_of_range), key=str)

    today = tmp_path / "today"
    today.mkdir()
    for file in files:
        content = json.loads(file.read_text())
        for record in as_list(content):
            validators["record"].validate(record)
            record |= {"timestamp": format_timestamp(now), "subject": f"today-{record['subject']}"}
        (today / file.name).write_text(json.dumps(content, indent=2))
    assert_accepted(kcat.write(RECORDS, *sorted(today.iterdir())))
    wait_for_steps(kcat, "detect")
    assert len(kcat.read(DEAD_LETTERS)) == letters_before + len(letters)
    steps = asyncio.run(restored(kcat.cluster, CONFIGURATION))
    streams = [stream for step in steps for subject, stream in step.streams.items() if subject.startswith("today-")]
    assert sum(stream.counts["used"] for stream in streams) == len(records)
    for stream in streams:
        stream.flush()
        assert stream.columns.bad_fields.total() == 0


def test_a_message_above_the_limit_of_the_topic_is_refused_by_the_broker(kcat, tmp_path):
    file = tmp_path / "large.json"
    file.write_bytes(b" " * (topic(RECORDS).message_bytes_max + 1))
    done = kcat.write(RECORDS, "-X", f"message.max.bytes={2 * topic(RECORDS).message_bytes_max}", file)
    assert done.returncode == 1
    assert b"Message size too large" in done.stderr


def as_list(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [content]


def is_in_range(time_ms: int, now: int) -> bool:
    settings = CONFIGURATION.detect
    return -settings.late_max_s * 1000 <= time_ms - now <= settings.early_max_s * 1000
