"""Baselines from a history of records, such as a file: read exactly as the live step reads them, to the end."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.timestamp import parse_timestamp
from schemas.topics import DEAD_LETTERS, RECORDS

BATCH_MESSAGES = 1000


@dataclass(slots=True)
class LearnedHistory:
    """What a history taught.

    Attributes
    ----------
    baselines
        One for each subject, by its name.
    refused
        By reason, how many records or messages could not be used.
    """

    baselines: dict[str, Baseline] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


def learn_history(
    messages: Iterable[bytes],
    settings: DetectSettings,
    *,
    subject: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> LearnedHistory:
    """Learn a baseline for each subject from all its records.

    Parameters
    ----------
    messages
        Values as a producer would send them, in the order of their times: a record each, or an array of records.
    settings
        Limits, and how many records a signal needs. That the history is long enough is for the caller to see.
    subject
        Learn this one alone.
    from_ms, to_ms
        Learn from records of these times alone, Unix milliseconds; the end is not part of it.
    """
    # The live step stops to learn when a baseline is ready; here the end of the history says when.
    endless = settings.model_copy(update={"ready_after_s": math.inf})
    step = DetectStep(0, endless, replay=True)
    history = LearnedHistory()
    if from_ms is not None or to_ms is not None:
        messages = _between(messages, from_ms or 0, math.inf if to_ms is None else to_ms)
    for batch in message_batches(messages, BATCH_MESSAGES):
        for output in step.step(batch):
            if output.topic == DEAD_LETTERS and output.value is not None:
                history.refused[DeadLetter.from_json(output.value).reason] += 1
    for name, unit in sorted(step.streams.items()):
        if subject in (None, name) and unit.counts["used"]:
            unit.flush()
            if unit.learner is not None:
                history.baselines[name] = unit.learner.baseline("file", centroid=unit.derived.embeddings.centroid)
    return history


def _between(values: Iterable[bytes], from_ms: float, to_ms: float) -> Iterator[bytes]:
    """The messages, without the records of other times; what has no time is left for the step to refuse."""

    def is_of_another_time(record: Any) -> bool:
        try:
            return not from_ms <= parse_timestamp(record["timestamp"]) < to_ms
        except (ValueError, TypeError, KeyError):
            return False

    for value in values:
        try:
            content = orjson.loads(value)
        except ValueError:
            content = None
        if isinstance(content, list):
            kept = [record for record in content if not is_of_another_time(record)]
            if kept:
                yield orjson.dumps(kept) if len(kept) < len(content) else value
        elif not is_of_another_time(content):
            yield value


def message_batches(values: Iterable[bytes], size: int) -> Iterator[list[RawMessage]]:
    """Values as messages of the records' topic, so many at a time."""
    messages = (RawMessage(RECORDS, 0, offset, 0, None, value) for offset, value in enumerate(values))
    while batch := list(islice(messages, size)):
        yield batch
