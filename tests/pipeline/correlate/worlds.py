"""Seeded histories for the properties of correlate: subjects in partitions, drifts, ticks and deployments."""

import random
from collections.abc import Iterator

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.step import InputMessage, OutputMessage
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message
from schemas.tick import Tick
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, incidents, kafka, later, tick

SIGNALS = (
    "refused",
    "hallucinated",
    "index_age_s",
    "retrieval_score",
    "latency_ms",
    "pii_detected",
    "error",
    "input_tokens",
)
HOUR = 60 * MINUTE
SPAN = 2 * HOUR


def partition_history(random_: random.Random, partition: int) -> list[Drift | Tick]:
    """What detect publishes for one partition with two subjects, in order: drifts in all states, and ticks."""
    messages: list[tuple[int, int, Drift | Tick]] = []
    for subject in (f"bot-{partition}", f"search-{partition}"):
        for number in range(random_.randint(1, 6)):
            signal = random_.choice(SIGNALS)
            start = START + random_.randrange(SPAN)
            opened = drift(
                signal,
                start=start,
                after_s=random_.choice((5, 60, 900)),
                subject=subject,
                partition=partition,
                drift_id=f"{subject}-{number}",
                environment="production",
                provider=random_.choice(("openai", None)),
                **({"tier": "ticket"} if random_.random() < 0.2 and signal != "input_tokens" else {}),
                **({"segment": "prompt=v42", "traffic_share": 0.05} if random_.random() < 0.2 else {}),
            )
            states: list[Drift] = [opened]
            for sequence, after in enumerate((10, 60, 600), 1):
                grown = opened.now * random_.choice((1, 1, 1.1, 4))
                states.append(later(opened, after, "evidence", sequence=sequence, now=grown))
            if random_.random() < 0.8:
                states.append(later(opened, random_.randint(620, 3_000), sequence=4))
            messages += [(state.updated_at, 0, state) for state in states]
    for at in range(START, START + SPAN + 2 * HOUR, random_.choice((30, 60, 120)) * SECOND):
        messages.append((at, 1, tick(at, partition)))
    return [message for _, _, message in sorted(messages, key=lambda entry: entry[:2])]


def outage_history(random_: random.Random, partition: int) -> list[Drift | Tick]:
    """A partition with six subjects of one provider that fails for a while, and fails again later that day in some."""
    messages: list[tuple[int, int, Drift | Tick]] = []
    for number in range(6):
        subject = f"bot-{partition}-{number}"
        for outage, begins in enumerate((START + 20 * MINUTE, START + HOUR)):
            if outage and random_.random() < 0.3:
                continue
            for index, signal in enumerate(random_.sample(("error", "latency_ms", "empty"), random_.choice((1, 1, 2)))):
                opened = drift(
                    signal,
                    start=begins + random_.randrange(100) * SECOND,
                    after_s=random_.choice((5, 60, 400)),
                    subject=subject,
                    partition=partition,
                    drift_id=f"{subject}-{outage}-{index}",
                    provider="openai",
                    environment=random_.choice(("production", "staging")),
                    now=random_.choice((0.1, 0.6)),
                )
                states = [opened, later(opened, 30, "evidence", now=opened.now * random_.choice((1, 4)))]
                if random_.random() < 0.9:
                    states.append(later(opened, random_.randint(60, 900), sequence=2))
                messages += [(state.updated_at, 0, state) for state in states]
    for at in range(START, START + 4 * HOUR, random_.choice((30, 60)) * SECOND):
        messages.append((at, 1, tick(at, partition)))
    return [message for _, _, message in sorted(messages, key=lambda entry: entry[:2])]


def deployments_of(random_: random.Random, partitions: int) -> list[Deployment]:
    """Deployments to some subjects, to their environment and provider, and a rollback of every second one."""
    deployments = []
    for number in range(random_.randint(6, 24)):
        scope = random_.choice(
            ({"subject": f"bot-{random_.randrange(partitions)}"}, {"environment": "production"}, {"provider": "openai"})
        )
        kind = random_.choice(("prompt", "prompt", "prompt", "index", "model", "dependency"))
        fields = {"subject": None} | scope | {"kind": kind}
        before_s = HOUR // SECOND - random_.randrange((SPAN + HOUR) // SECOND)
        versions = {"from_version": random_.choice(("v1", None, None)), "to_version": f"v{random_.randint(2, 6)}"}
        deployments.append(deployment(f"d-{number}", before_s=before_s, **(fields | versions)))
        if number % 2:
            rollback = {"from_version": None, "to_version": None, "rollback_of": f"d-{number}"}
            deployments.append(deployment(f"r-{number}", before_s=before_s - 600, **(fields | rollback)))
    return deployments


def interleaved(random_: random.Random, *streams: list[Message]) -> list[Message]:
    """The streams in random interleaving, each in its own order."""
    waiting = [list(reversed(stream)) for stream in streams if stream]
    merged = []
    while waiting:
        stream = random_.choice(waiting)
        merged.append(stream.pop())
        waiting = [rest for rest in waiting if rest]
    return merged


def content(outputs: list[OutputMessage]) -> dict[str, Incident]:
    """The final incidents by id, without the number and the reason of the revision.

    Parents that were merged into another parent are omitted, because they depend on which subject came first.
    """
    newest = {incident.incident_id: incident for incident in incidents(outputs)}
    final = {key: incident for key, incident in newest.items() if incident.subject_count}
    return {key: value.model_copy(update={"revision": 1, "change": ""}) for key, value in final.items()}


def batches(random_: random.Random, messages: list[InputMessage]) -> Iterator[list[InputMessage]]:
    """Consecutive messages of one topic, in random batches."""
    batch: list[InputMessage] = []
    for message in messages:
        if batch and (batch[0].topic != message.topic or random_.random() < 0.2):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch


def run(messages: list[Message]) -> list[OutputMessage]:
    """All outputs of one undisturbed step."""
    return CorrelateStep(CorrelateSettings()).step(kafka(messages))
