"""From records to incidents: a person accepts an incident, and a further move is another one."""

import itertools
import random

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage, RawMessage
from schemas.command import Command
from schemas.incident import Incident
from schemas.topics import ALERTS, BASELINES, COMMANDS
from tests.pipeline.detect.streams import START_MS, as_json, message, record

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500, relearn_after_s=300)
STEP_MS = 40
MOVED, ACCEPTED, FURTHER, END = 4000, 6000, 8000, 9500


def share_of_refusals(number: int) -> float:
    return 0.01 if number < MOVED else 0.35 if number < FURTHER else 0.95


class Path:
    """Detect and correlate, without Kafka."""

    def __init__(self) -> None:
        self.detect = DetectStep(0, SETTINGS, replay=True)
        self.correlate = CorrelateStep(CorrelateSettings(announce_after_s=0))
        self.offsets = itertools.count()
        self.incidents: dict[str, Incident] = {}
        self.published: list[str] = []

    def push(self, messages: list[RawMessage]) -> None:
        self.pass_on(self.detect.step(messages))

    def pass_on(self, outputs: list[OutputMessage]) -> None:
        for output in outputs:
            if output.topic != BASELINES:
                self.read(output.topic, output.key, output.value)

    def read(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        for output in self.correlate.step([RawMessage(topic, 0, next(self.offsets), START_MS, key, value)]):
            if output.topic == ALERTS:
                incident = Incident.from_json(output.value or b"")
                self.incidents[incident.incident_id] = incident
            elif output.topic == BASELINES:
                self.pass_on(
                    self.detect.control(
                        RawMessage(BASELINES, 0, next(self.offsets), START_MS, output.key, output.value)
                    )
                )


def test_an_accepted_incident_is_over_and_a_further_move_pages_as_another_one():
    rng, path = random.Random(1), Path()
    messages = [
        message(number, as_json(record(rng, number, at, refused=share_of_refusals(number))), at)
        for number in range(END)
        for at in (START_MS + number * STEP_MS,)
    ]
    path.push(messages[:ACCEPTED])
    [first] = [
        incident for incident in path.incidents.values() if any(line.signal == "refused" for line in incident.evidence)
    ]
    assert first.status == "open"
    accept = Command(
        command_id="cmd-1",
        at=START_MS + ACCEPTED * STEP_MS,
        author="ana",
        action="accept",
        incident_id=first.incident_id,
        note="the new prompt refuses more",
    )
    path.read(COMMANDS, first.incident_id.encode(), accept.to_json())
    known = set(path.incidents)
    closed = path.incidents[first.incident_id]
    assert (closed.status, closed.log[-1].text.count("ana: the new prompt refuses more")) == ("resolved", 1)
    path.push(messages[ACCEPTED:FURTHER])
    assert set(path.incidents) == known
    path.push(messages[FURTHER:])
    [second] = [path.incidents[incident_id] for incident_id in set(path.incidents) - known]
    [line] = [line for line in second.evidence if line.tier == "page"]
    assert (second.status, line.signal) == ("open", "refused")
    assert 0.3 < line.normal < 0.4
    assert line.now > 0.8
    assert second.detected_at < START_MS + FURTHER * STEP_MS + 30_000
