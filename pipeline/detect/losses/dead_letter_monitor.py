"""The dead-letter monitor, which tests the share of each subject's records that is rejected for each reason.

Rejected records do not reach their stream, so the partition tracks these losses. Records without a valid subject, and
records beyond the limit on subjects, count for the partition as a whole.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from pipeline.detect.admission import AdmittedBatch, PositionedOutput
from pipeline.detect.losses.loss import Loss, share_tests
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, catalogue
from pipeline.step import OutputMessage
from pipeline.wording import duration
from schemas.timestamp import EARLIEST_MS, LATEST_MS
from schemas.topics import RECORDS

SIGNAL = next(signal for signal in catalogue.EVENTS if signal.name == "dead_letters")

SUBJECTS_MAX = 256
"""Maximum number of subjects whose dead letters are tested separately. Others count for the partition as a whole."""

VALUES_MAX = 128
"""Maximum number of labels per loss that are compared between rejected and other records."""

OFFSETS_MAX = 31
"""Number of recent dead letters from which the clock error is estimated, as their median offset."""

ORIGIN_SHARE = 0.95
"""Minimum share of the dead letters that must carry a label for the label to be named as their origin. Among all other
records, the label's share must be at most 1 minus this number."""

CLOCK_SPREAD_MAX_MS, CLOCK_SPREAD_SHARE = 60_000, 0.1
"""Maximum distance between the quartiles of the offsets at which a clock error is reported. The larger of this distance
and this share of the median applies."""

_TEN_SECONDS_MS, _MINUTE_MS, _HOUR_MS = 10_000, 60_000, 3_600_000
_FIRST_PANE, _LAST_PANE = EARLIEST_MS // PANE_MS, LATEST_MS // PANE_MS
_PREFIXES = ("segment.", "versions.", "provider")


class _Arrival(NamedTuple):
    """A record that arrived. ``reason`` is None if it was admitted."""

    position: int
    pane: int
    subject: str | None
    reason: str | None
    labels: Mapping[str, str | None]
    ahead_ms: int | None


class _Rejections:
    """The dead letters with one reason, their loss, and the features that their records share.

    Attributes
    ----------
    loss
        The loss.
    environment
        Environment of the latest dead letter.
    """

    def __init__(self, reason: str, loss: Loss) -> None:
        self._reason, self.loss = reason, loss
        self.environment: str | None = None
        self._totals = [0, 0]
        self._values: dict[str, list[int]] = {}
        self._offsets_ms: deque[int] = deque(maxlen=OFFSETS_MAX)

    def add(self, arrival: _Arrival, *, is_lost: bool) -> None:
        """Add a record, which may be one of the dead letters."""
        self.loss.add(1, int(is_lost))
        self._totals[not is_lost] += 1
        for name, label in arrival.labels.items():
            if label is None or not name.startswith(_PREFIXES):
                continue
            value = f"{name.removeprefix('segment.').removeprefix('versions.')} {label}"
            if value in self._values or len(self._values) < VALUES_MAX:
                self._values.setdefault(value, [0, 0])[not is_lost] += 1
        if is_lost:
            self.environment = arrival.labels.get("environment")
            if arrival.ahead_ms is not None:
                self._offsets_ms.append(arrival.ahead_ms)

    def describe(self, share: str) -> str:
        """Describe the loss with its share, the origin of the dead letters and their clock error if known."""
        origin, clock = self._origin(), self._clock_error()
        records = f"records from {origin}" if origin else "their records"
        detail = f": {records} are dated {clock}" if clock else f": all of them are from {origin}" if origin else ""
        return f"{share} of records are dead letters ({self._reason}){detail}"

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "loss": self.loss.dump(),
            "environment": self.environment,
            "totals": list(self._totals),
            "values": [[value, *counts] for value, counts in self._values.items()],
            "offsets_ms": list(self._offsets_ms),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self.loss.load(state["loss"])
        self.environment, self._totals = state["environment"], list(state["totals"])
        self._values = {value: [lost, admitted] for value, lost, admitted in state["values"]}
        self._offsets_ms.extend(state["offsets_ms"])

    def _origin(self) -> str:
        """Return the label that nearly all dead letters and hardly any other records carry, or an empty string."""
        lost_total, other_total = self._totals
        candidates = [
            (other, -lost, value)
            for value, (lost, other) in self._values.items()
            if other_total and lost >= ORIGIN_SHARE * lost_total and other <= (1.0 - ORIGIN_SHARE) * other_total
        ]
        return min(candidates)[2] if candidates else ""

    def _clock_error(self) -> str:
        if not self._offsets_ms:
            return ""
        low, median, high = (float(offset) for offset in np.percentile(list(self._offsets_ms), (25, 50, 75)))
        if high - low > max(CLOCK_SPREAD_MAX_MS, CLOCK_SPREAD_SHARE * abs(median)):
            return ""
        step = _MINUTE_MS if abs(median) >= _HOUR_MS else _TEN_SECONDS_MS
        length = duration(round(abs(median) / step) * step / 1000)
        return f"{length} {'ahead of' if median > 0 else 'before'} their arrival"


class DeadLetterMonitor:
    """The monitor of the dead letters of one partition.

    Parameters
    ----------
    partition
        Number of the partition.
    settings
        False-alarm budget, threshold of a recovery, and times at which evidence is repeated.
    """

    def __init__(self, partition: int, settings: DetectSettings) -> None:
        self._partition, self._settings = partition, settings
        self._by_subject: dict[str | None, dict[str, _Rejections]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether batches without dead letters can be skipped."""
        return not self._by_subject

    def observe(
        self, batch: AdmittedBatch, times_ms: Sequence[int], rejected_times_ms: Sequence[int]
    ) -> list[PositionedOutput]:
        """Observe the records of a batch. Return drifts.

        Parameters
        ----------
        batch
            The batch, with its rejected records.
        times_ms, rejected_times_ms
            Arrival time of each admitted and each rejected record, in Unix milliseconds. In a replay, the watermark of
            the partition at the record.
        """
        outputs: list[PositionedOutput] = []
        for arrival in self._arrivals(batch, times_ms, rejected_times_ms):
            names = (None,) if arrival.subject is None else (arrival.subject, None)
            outputs += [(arrival.position, output) for name in names for output in self._advance(name, arrival.pane)]
            owner = self._owner(arrival.subject)
            if arrival.reason is not None and arrival.reason not in self._by_subject.get(owner, {}):
                rejections = self._begin(owner, arrival.reason)
                rejections.loss.reach(arrival.pane, rejections.describe)
            for name in names:
                for reason, rejections in self._by_subject.get(name, {}).items():
                    rejections.add(arrival, is_lost=name == owner and reason == arrival.reason)
        return outputs

    def reset(self) -> None:
        """Reset the evidence after a gap in the records."""
        for by_reason in self._by_subject.values():
            for rejections in by_reason.values():
                rejections.loss.reset()

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        rejections = [
            [subject, reason, rejections.dump()]
            for subject, by_reason in self._by_subject.items()
            for reason, rejections in by_reason.items()
        ]
        return {"rejections": rejections}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        for subject, reason, content in state["rejections"]:
            self._begin(subject, reason).load(content)

    def _arrivals(
        self, batch: AdmittedBatch, times_ms: Sequence[int], rejected_times_ms: Sequence[int]
    ) -> list[_Arrival]:
        """Return the records that count towards the share of a loss, in order of arrival."""
        arrivals = [
            _Arrival(
                rejected.position,
                time_ms // PANE_MS,
                rejected.subject,
                rejected.reason,
                rejected.labels,
                rejected.ahead_ms,
            )
            for rejected, time_ms in zip(batch.rejected, rejected_times_ms, strict=True)
        ]
        subjects = {*self._by_subject, *(rejected.subject for rejected in batch.rejected)}
        counts_all = None in subjects or len(subjects) > SUBJECTS_MAX
        rejected_positions = {rejected.position for rejected in batch.rejected}
        records = batch.records
        labels = {name: column for name, column in records.labels.items() if name.startswith(_PREFIXES)}
        for row, (subject, position) in enumerate(zip(records.subjects, records.positions, strict=True)):
            if (counts_all or subject in subjects) and position not in rejected_positions:
                of_record = {name: column[row] for name, column in labels.items()}
                arrivals.append(_Arrival(position, times_ms[row] // PANE_MS, subject, None, of_record, None))
        # A replay has no watermark before its first record, and a broker can send arbitrary times.
        timed = (arrival for arrival in arrivals if _FIRST_PANE <= arrival.pane < _LAST_PANE)
        return sorted(timed, key=attrgetter("position"))

    def _owner(self, subject: str | None) -> str | None:
        """Return the subject to which a dead letter is attributed, or None for the partition as a whole."""
        return subject if subject in self._by_subject or len(self._by_subject) < SUBJECTS_MAX else None

    def _begin(self, subject: str | None, reason: str) -> _Rejections:
        loss = Loss(f"reason={reason}", share_tests(SIGNAL, self._settings), self._settings)
        rejections = _Rejections(reason, loss)
        self._by_subject.setdefault(subject, {})[reason] = rejections
        return rejections

    def _advance(self, subject: str | None, pane: int) -> Iterator[OutputMessage]:
        by_reason = self._by_subject.get(subject, {})
        for reason, rejections in list(by_reason.items()):
            for finding in rejections.loss.reach(pane, rejections.describe):
                yield finding.to_output(
                    subject=f"{RECORDS}/{self._partition}" if subject is None else subject,
                    partition=self._partition,
                    baseline_version="",
                    environment=rejections.environment,
                    provider=None,
                )
            if rejections.loss.is_idle:
                del by_reason[reason]
        if subject in self._by_subject and not by_reason:
            del self._by_subject[subject]
