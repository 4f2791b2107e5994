"""The losses of one stream: unusable field values and duplicates."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import PositionedOutput, Records
from pipeline.detect.blocks import SignalColumns
from pipeline.detect.findings import Finding
from pipeline.detect.losses.loss import Loss, share_tests
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import Signal, catalogue
from pipeline.step import OutputMessage
from pipeline.wording import fault_phrase, percent
from schemas.baseline import Baseline
from schemas.record import SUBJECT_LENGTH_MAX

DUPLICATES, UNUSABLE_FIELD = (
    next(signal for signal in catalogue.EVENTS if signal.name == name) for name in ("duplicates", "unusable_field")
)

ABSENT = "absent"
"""Reason of a record that lacks a field that the baseline expects."""

_RowFinding = tuple[int, Finding]


@dataclass(slots=True)
class _FieldLoss:
    """The loss of one field. ``reasons`` counts its unusable values by reason."""

    loss: Loss
    reasons: Counter[str] = field(default_factory=Counter)

    def main_reason(self) -> str:
        """Return the most frequent reason."""
        return max(sorted(self.reasons), key=self.reasons.__getitem__)

    def describe(self, name: str, share: str) -> str:
        """Describe the loss of a field with its share, such as ``output.refused is text in 31.0 % of records``."""
        reason = self.main_reason()
        others = self.reasons.total() - self.reasons[reason]
        rest = (
            f" (and unusable for other reasons in {percent(others / self.reasons.total())} of these)" if others else ""
        )
        preposition = "from" if reason == ABSENT else "in"
        return f"{name} {fault_phrase(reason)} {preposition} {share} of records{rest}"


class StreamLosses:
    """The losses of one stream. They cost almost nothing while nothing is lost.

    A field is lost if its value cannot be used, or if the baseline expects it in every request and it is absent.

    Parameters
    ----------
    subject, partition
        The subject of the stream, and the partition of its records.
    settings
        False-alarm budget, threshold of a recovery, and times at which evidence is repeated.
    """

    def __init__(self, subject: str, partition: int, settings: DetectSettings) -> None:
        self._subject, self._partition, self._settings = subject, partition, settings
        self._duplicates: Loss | None = None
        self._fields: dict[str, _FieldLoss] = {}
        self._expected_fields: Sequence[str] = ()

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been lost recently. A drift then needs the losses of at least ten more panes."""
        return self._duplicates is None and not self._fields

    def apply_baseline(self, baseline: Baseline) -> None:
        """Test the presence of the fields that a baseline expects."""
        self._expected_fields = baseline.expected_fields

    def end_absences(self, environment: str | None) -> list[OutputMessage]:
        """End the open drifts of absent fields, because another baseline is applied. Return them."""
        findings: list[Finding] = []
        for name, watched in list(self._fields.items()):
            if watched.reasons[ABSENT]:
                ended = watched.loss.end(f"the test of {name} has ended: a new baseline is in use")
                findings += (replace(finding, fault=watched.main_reason()) for finding in ended)
                del self._fields[name]
        return [self._output(finding, environment) for finding in findings]

    def observe_duplicates(
        self, records: Records, is_new: NDArray[np.bool_], panes: NDArray[np.int64]
    ) -> list[PositionedOutput]:
        """Observe records with their panes, and a mask of the records that are not duplicates. Return drifts."""
        if self._duplicates is None and is_new.all():
            return []
        is_duplicate = ~is_new
        findings: list[_RowFinding] = []
        for start, end in _split_by_pane(panes):
            pane, loss = int(panes[start]), self._duplicates
            if loss is not None:
                findings += [(start, finding) for finding in loss.reach(pane, _describe_duplicates)]
                loss = self._duplicates = None if loss.is_idle else loss
            first = start
            if loss is None:
                repeated = np.flatnonzero(is_duplicate[start:end])
                if not repeated.size:
                    continue
                first += int(repeated[0])
                loss = self._duplicates = self._begin("", DUPLICATES, pane)
            loss.add(end - first, int(np.count_nonzero(is_duplicate[first:end])))
        return self._outputs(findings, records)

    def observe_fields(self, records: Records, columns: SignalColumns) -> list[PositionedOutput]:
        """Observe the fields of records, whose panes and custom values must be filled in. Return drifts."""
        absent = columns.find_absent(records, self._expected_fields) if self._expected_fields else {}
        if not records.faults and not self._fields and not absent:
            return []
        reasons: dict[str, dict[int, str]] = {name: {} for name in self._fields}
        for row, field_name, reason in records.faults:
            reasons.setdefault(columns.monitored_field(field_name), {})[row] = reason
        for name, rows in absent.items():
            reasons.setdefault(name, {}).update(dict.fromkeys(rows.tolist(), ABSENT))
        findings: list[_RowFinding] = []
        for name, of_field in sorted(reasons.items()):
            is_sent = columns.find_sent(records, name)
            is_sent[list(of_field)] = True
            findings += self._observe_field(name, np.flatnonzero(is_sent), of_field, records.panes)
        return self._outputs(sorted(findings, key=itemgetter(0)), records)

    def _observe_field(
        self, name: str, rows: NDArray[np.intp], reasons: dict[int, str], panes: NDArray[np.int64]
    ) -> list[_RowFinding]:
        """Observe the values of one field. Return findings with the rows that caused them.

        Parameters
        ----------
        name
            Name of the field.
        rows
            Rows of the records that contain the field, in order.
        reasons
            Reason for each unusable value, by row.
        panes
            Shape ``(R,)``: panes of all records.
        """
        findings: list[_RowFinding] = []
        panes = panes[rows]
        is_unusable = np.isin(rows, list(reasons)) if reasons else np.zeros(len(rows), dtype=np.bool_)
        for start, end in _split_by_pane(panes):
            pane, watched = int(panes[start]), self._fields.get(name)
            if watched is not None:
                findings += [
                    (int(rows[start]), replace(finding, fault=watched.main_reason()))
                    for finding in watched.loss.reach(pane, partial(watched.describe, name))
                ]
                if watched.loss.is_idle:
                    del self._fields[name]
                    watched = None
            first, unusable = start, np.flatnonzero(is_unusable[start:end]) + start
            if watched is None:
                if not unusable.size:
                    continue
                first = int(unusable[0])
                watched = self._fields[name] = _FieldLoss(self._begin(f"field={name}", UNUSABLE_FIELD, pane))
            watched.loss.add(end - first, unusable.size)
            watched.reasons.update(reasons[row] for row in rows[unusable].tolist())
        return findings

    def reset(self) -> None:
        """Reset the evidence after a gap in the records."""
        for loss in (self._duplicates, *(watched.loss for watched in self._fields.values())):
            if loss is not None:
                loss.reset()

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "duplicates": None if self._duplicates is None else self._duplicates.dump(),
            "fields": {
                name: {"loss": watched.loss.dump(), "reasons": sorted(watched.reasons.items())}
                for name, watched in sorted(self._fields.items())
            },
        }

    def load(self, state: dict[str, Any] | None) -> None:
        """Restore the state. Checkpoints of earlier versions do not contain it."""
        if state is None:
            return
        if state["duplicates"] is not None:
            self._duplicates = self._begin("", DUPLICATES, 0)
            self._duplicates.load(state["duplicates"])
        for name, content in state["fields"].items():
            watched = self._fields[name] = _FieldLoss(self._begin(f"field={name}", UNUSABLE_FIELD, 0))
            watched.loss.load(content["loss"])
            watched.reasons.update(dict(content["reasons"]))

    def _outputs(self, findings: Sequence[_RowFinding], records: Records) -> list[PositionedOutput]:
        """Return drifts without a baseline, with the environment of the records that caused them."""
        environments = records.labels.get("environment")
        return [
            (records.positions[row], self._output(finding, environments[row] if environments else None))
            for row, finding in findings
        ]

    def _output(self, finding: Finding, environment: str | None) -> OutputMessage:
        return finding.to_output(
            subject=self._subject,
            partition=self._partition,
            baseline_version="",
            environment=environment,
            provider=None,
        )

    def _begin(self, segment: str, signal: Signal, pane: int) -> Loss:
        loss = Loss(segment[:SUBJECT_LENGTH_MAX], share_tests(signal, self._settings), self._settings)
        loss.reach(pane, str)
        return loss


def _describe_duplicates(share: str) -> str:
    return f"{share} of records are duplicates"


def _split_by_pane(panes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of rows with the same pane."""
    if not panes.size:
        return
    cuts = (np.flatnonzero(np.diff(panes)) + 1).tolist()
    yield from zip([0, *cuts], [*cuts, len(panes)], strict=True)
