"""Learn baselines from a history of records, such as a file, using the code of the live step."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.json_elements import parse_records
from pipeline.lenient_json import dump_json
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.timestamp import parse_timestamp
from schemas.topics import DEAD_LETTERS, RECORDS

BATCH_MESSAGES = 1000


@dataclass(slots=True)
class LearnedHistory:
    """The result of learning from a history.

    Attributes
    ----------
    baselines
        Baselines by subject.
    unusable
        Number of records or messages that could not be used, by reason.
    bad_fields
        Number of values that could not be used, by subject, and by field and reason.
    look_alikes
        Unknown fields that look like a known one, by subject.
    held
        Number of records that were not used, because too few records confirm their times, by subject.
    """

    baselines: dict[str, Baseline] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    bad_fields: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    look_alikes: dict[str, set[str]] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)


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
        Message values as a producer sends them, in order of their times. A value is a record or an array of records.
    settings
        Limits, and the minimum number of records of a signal. The caller checks that the history is long enough.
    subject
        Learn only this subject.
    from_ms, to_ms
        Learn only from records of this period, in Unix milliseconds. The end is exclusive.
    """
    # The live step stops learning when the baseline is ready. Here it learns to the end of the history.
    endless = settings.model_copy(update={"ready_after_s": math.inf})
    step = DetectStep(0, endless, replay=True)
    history = LearnedHistory()
    if from_ms is not None or to_ms is not None:
        end_ms = math.inf if to_ms is None else to_ms
        messages = _select_period(messages, from_ms or 0, end_ms, settings.time_zone or None)
    for batch in message_batches(messages, BATCH_MESSAGES):
        for output in step.step(batch):
            if output.topic == DEAD_LETTERS and output.value is not None:
                history.unusable[DeadLetter.from_json(output.value).reason] += 1
    for name, stream in sorted(step.streams.items()):
        if subject not in (None, name):
            continue
        if stream.event_time_guard.held_count:
            history.held[name] = stream.event_time_guard.held_count
        if stream.counts["used"]:
            stream.flush()
            if stream.learner is not None:
                history.bad_fields[name] = stream.columns.bad_fields
                history.look_alikes[name] = stream.columns.look_alikes
                history.baselines[name] = stream.learner.baseline("file", centroid=stream.derived.embeddings.centroid)
    return history


def message_batches(values: Iterable[bytes], size: int) -> Iterator[list[RawMessage]]:
    """Yield values as messages of the records topic, in batches of ``size``."""
    messages = (RawMessage(RECORDS, 0, offset, 0, None, value) for offset, value in enumerate(values))
    while batch := list(islice(messages, size)):
        yield batch


def _select_period(values: Iterable[bytes], from_ms: float, to_ms: float, time_zone: str | None) -> Iterator[bytes]:
    """Yield the messages, except for records outside the period.

    Records without a time are left for the step to reject.
    """

    def is_outside(record: Any) -> bool:
        try:
            return not from_ms <= parse_timestamp(record["timestamp"], time_zone=time_zone) < to_ms
        except (ValueError, TypeError, KeyError):
            return False

    for value in values:
        records = parse_records(value)
        selected = [record for record in records if not is_outside(record)]
        if len(selected) == len(records):
            yield value
        elif selected:
            yield dump_json(selected)
