"""Restoring: a unit from the parts of its state. What does not fit is set aside with a line, the rest taken up."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pipeline.codec import decode
from pipeline.detect.baselines import Learner, PublishedBaseline
from pipeline.detect.intake import Records
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.relearning import Relearning
from pipeline.detect.stream.state import DUPLICATES, HELD, JUDGE, LEARNER, RELEARNER, ROWS, STATISTICS, UNIT, part_kind
from pipeline.detect.stream.stream import MonitoredCount, Stream
from schemas.relearn import Relearn

_DOES_NOT_FIT = (ValueError, KeyError, TypeError, IndexError)


class StreamRestorer:
    """Takes up one unit.

    Parameters
    ----------
    subject, partition, settings
        As of :class:`pipeline.detect.stream.stream.Unit`.
    parts
        The encoded parts by name.
    kept, relearns
        The baselines of the subject, and what of it is to be learned anew, oldest first.

    Attributes
    ----------
    problems
        One line for each thing that could not be taken up.
    stale
        Parts that must not be found by the next one who restores: what is learned anew does not overwrite them all.
    """

    def __init__(
        self,
        subject: str,
        partition: int,
        settings: DetectSettings,
        *,
        parts: dict[str, bytes],
        kept: Sequence[PublishedBaseline],
        relearns: Sequence[Relearn] = (),
    ) -> None:
        self.problems: list[str] = []
        self.stale: list[str] = []
        self._subject = subject
        self._settings = settings
        self._digest = settings.digest()
        self._parts = parts
        self._kept, self._relearns = kept, relearns
        self._unit = Stream(subject, partition, settings)
        self._pending: list[str] = []
        self._version: str | None = None
        self._relearning: dict[str, Any] | None = None

    def restore(self) -> Stream | None:
        """The unit as it was; None if not even its counters could be read."""
        unit = self._unit
        if UNIT not in self._parts:
            self.problems.append(f"{self._subject}: the state has no {UNIT}: all of it is set aside")
            return None
        if not self._take_up(UNIT, self._load_unit):
            return None
        self._take_up(ROWS, self._load_rows)
        self._take_up(HELD, unit.event_time_guard.load)
        self._take_up(STATISTICS, unit.statistics.load)
        self._load_duplicates()
        self._load_baseline()
        unit.changed = unit.flushed = False
        return unit

    def _take_up(self, part: str, load: Callable[[dict[str, Any]], object]) -> bool:
        """Whether a part was there and fits."""
        value = self._parts.get(part)
        if value is None:
            return False
        try:
            load(decode(value, kind=part_kind(part), settings_hash=self._digest))
        except _DOES_NOT_FIT as problem:
            self.problems.append(f"{self._subject}: {problem}")
            return False
        return True

    def _load_unit(self, state: dict[str, Any]) -> None:
        unit = self._unit
        unit.watermark = state["watermark"]
        unit.counts.update(state["counts"])
        unit.columns.load(state["columns"])
        unit.derived.load(state["derived"])
        unit.first_seen.load(state["first_seen"])
        unit.silence.load(state["silence"])
        unit.last_pane, unit.heard_ms = state["last_pane"], state["heard_ms"]
        unit.offered = state["offered"]
        self._pending, self._version = list(state["pending"]), state["baseline_version"]
        self._relearning = state["relearning"]
        unit.judged_before = MonitoredCount(state["seen_before"], state["judged_before"])

    def _load_rows(self, state: dict[str, Any]) -> None:
        self._unit.buffer.add(Records.load(state))

    def _load_duplicates(self) -> None:
        chunks: list[dict[str, Any]] = []
        for part in self._parts_of(DUPLICATES):
            self._take_up(part, chunks.append)
        self._unit.duplicates.load(chunks)

    def _load_baseline(self) -> None:
        unit = self._unit
        active = next((kept for kept in self._kept if kept.baseline_version == self._version), None)
        if active is not None:
            self._judge_by(active)
            judge = unit.monitor
            if judge is not None and not self._take_up(JUDGE, judge.load):
                self.problems.append(f"{self._subject}: its walks start anew")
                self._judge_by(active)
            self._load_relearning()
        elif self._version is None:
            self._load_learner()
        else:
            self.problems.append(
                f"{self._subject}: its baseline {self._version} is not among those published: publish it again, "
                "or it judges by the next that comes"
            )
        for kept in self._newer(active):
            if kept.source != "live" or not (unit.monitor or unit.pending):
                unit.schedule_baseline(kept.read())

    def _judge_by(self, active: PublishedBaseline) -> None:
        unit = self._unit
        before, derived, first_seen = unit.judged_before, unit.derived.dump(), unit.first_seen.dump()
        unit.replace_monitor(active.read())
        # What it knows by now is more than what its baseline told it.
        unit.judged_before = before
        unit.derived.load(derived)
        unit.first_seen.load(first_seen)

    def _newer(self, active: PublishedBaseline | None) -> Iterator[PublishedBaseline]:
        """The baselines that the unit waits for, and those that came while nobody was there to show them."""
        versions = [kept.baseline_version for kept in self._kept]
        shown = self._unit.offered if self._unit.offered in versions else self._version
        start = versions.index(shown) + 1 if shown in versions else 0
        for index, kept in enumerate(self._kept):
            if kept is not active and (index >= start or kept.baseline_version in self._pending):
                yield kept

    def _load_learner(self) -> None:
        learner = Learner(self._subject, self._settings)
        if self._loaded(learner, LEARNER, "its baseline is learned anew"):
            self._unit.learner = learner

    def _load_relearning(self) -> None:
        unit = self._unit
        if self._relearning is not None:
            relearning = Relearning.load(self._subject, self._relearning, self._settings)
            if not self._loaded(relearning.learner, RELEARNER, "its new normal is learned from here on"):
                relearning = Relearning.load(self._subject, self._relearning, self._settings)
            unit.relearning = relearning
        for relearn in self._relearns:
            if self._relearning is None or relearn.at > self._relearning["at_ms"]:
                unit.relearn(relearn)

    def _loaded(self, learner: Learner, kind: str, otherwise: str) -> bool:
        """Whether a learner could take up all its parts."""
        for part in self._parts_of(kind):
            name = part.partition("/")[2]
            if not self._take_up(part, partial(learner.load_part, name)):
                self.problems.append(f"{self._subject}: {otherwise}")
                self.stale = self._parts_of(kind)
                return False
        return True

    def _parts_of(self, kind: str) -> list[str]:
        return sorted(part for part in self._parts if part_kind(part) == kind)
