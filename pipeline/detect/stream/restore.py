"""Restore a stream from the parts of its state and the published baselines."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Duplicates, Records
from pipeline.detect.baselines import Learner, PackedBaseline
from pipeline.detect.blocks import OutcomeLabels
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.relearning import Relearning
from pipeline.detect.stream.stream import Stream
from pipeline.detect.stream.stream_state import load_main_part
from pipeline.state import DOES_NOT_FIT, Part, PartStore, State
from pipeline.wording import one_line
from schemas.baseline import PARTITION_SOURCES, Baseline
from schemas.relearn import Relearn


def read_usable_baseline(packed: PackedBaseline, settings: DetectSettings) -> Baseline | None:
    """Return a baseline, or None if it is not usable. It is checked now if it was not checked when it was published."""
    try:
        baseline = packed.read()
        if not packed.is_checked:
            Monitor(baseline, settings)
            packed.is_checked = True
    except DOES_NOT_FIT:
        return None
    return baseline


class StreamRestorer:
    """Restorer of one stream. Parts that do not fit are discarded with a warning. All other parts are restored.

    Parameters
    ----------
    subject, partition, settings
        Arguments of :class:`pipeline.detect.stream.stream.Stream`.
    store
        Store with the parts that were read from the checkpoint. It collects the warnings.
    baselines, relearns
        The published baselines and relearn requests of the subject, oldest first.
    """

    def __init__(
        self,
        subject: str,
        partition: int,
        settings: DetectSettings,
        *,
        store: PartStore,
        baselines: Sequence[PackedBaseline],
        relearns: Sequence[Relearn] = (),
    ) -> None:
        self._settings = settings
        self._store = store
        self._baselines, self._relearns = baselines, relearns
        self._stream = Stream(subject, partition, settings)
        self._state: State = {}

    def restore(self) -> Stream | None:
        """Return the restored stream. Return None if the part with its counters and references cannot be read."""
        stream, subject = self._stream, self._stream.subject
        if not self._store.items("stream", subject):
            self._store.warn(
                f"{subject}: the checkpoint has no part stream/{subject}, so its other parts are discarded"
            )
            return None
        if not self._store.load(Part("stream", subject), self._load_stream):
            return None
        self._store.load(Part("rows", subject), lambda state: stream.buffer.add(Records.load(state)))
        self._store.load(Part("held", subject), stream.event_time_guard.load)
        self._store.load(Part("statistics", subject), stream.statistics.load)
        chunks: list[tuple[int, NDArray[np.int64]]] = []
        for part in self._store.items("duplicates", subject):
            self._store.load(part, lambda state: chunks.append(Duplicates.read_chunk(state)))
        stream.duplicates.load(chunks)
        requests: list[Any] = []
        for part in self._store.items("outcomes", subject):
            self._store.load(part, lambda state: requests.append(OutcomeLabels.read_chunk(state)))
        stream.outcome_labels.load(requests)
        for part in self._store.items("history", subject):
            self._store.load(part, partial(stream.history.load_part, part.item))
        self._restore_baseline()
        # The checkpoint contains the restored parts. Only discarded parts must be removed from it.
        stream.evidence_changed, stream.changed = False, bool(stream.discarded_kinds)
        return stream

    def _load_stream(self, state: State) -> None:
        load_main_part(self._stream, state)
        self._state = state

    def _restore_baseline(self) -> None:
        stream, version = self._stream, self._state["baseline_version"]
        active = next((baseline for baseline in self._baselines if baseline.baseline_version == version), None)
        if active is not None and read_usable_baseline(active, self._settings) is None:
            active = None  # another message with this version has replaced it
        if active is not None:
            self._restore_monitor(active)
            self._restore_relearning()
        elif version is None:
            self._restore_learner()
        else:
            self._store.warn(
                f"{stream.subject}: its baseline {version} is not among the published baselines. Publish it again; "
                "otherwise this subject uses the next baseline that is published or learned"
            )
        for baseline in self._not_offered(active):
            if baseline.source != "live" or not (stream.monitor or stream.pending_baselines):
                usable = read_usable_baseline(baseline, self._settings)
                if usable is not None:
                    stream.schedule_baseline(usable)

    def _restore_monitor(self, active: PackedBaseline) -> None:
        """Restore the parts of the monitor that fit. Without any part, the monitor starts with its baseline."""
        subject = self._stream.subject
        states: dict[str, State] = {}
        for kind in ("monitor", "evidence", "adwin"):
            self._store.load(Part(kind, subject), partial(states.__setitem__, kind))
        attempts = [states, {"monitor": states["monitor"]}] if "monitor" in states else []
        for attempt in attempts:
            try:
                self._start_monitor(active).load(attempt)
            except DOES_NOT_FIT as problem:
                self._store.warn(f"{subject}: the state of its monitor does not fit: {one_line(problem)}")
            else:
                return
        self._start_monitor(active)
        if not self._store.is_reset("monitor"):
            self._store.warn(f"{subject}: its evidence is reset; the baseline stays in use")

    def _start_monitor(self, active: PackedBaseline) -> Monitor:
        stream = self._stream
        monitored_before = stream.monitored_before
        derived, first_seen = stream.derived.dump(), stream.first_seen.dump()
        monitor = stream.replace_monitor(active.read())
        # Starting the monitor changed the counts, so the restored counts are set again.
        stream.monitored_before = monitored_before
        stream.derived.load(derived)
        stream.first_seen.load(first_seen)
        return monitor

    def _not_offered(self, active: PackedBaseline | None) -> Iterator[PackedBaseline]:
        """Yield the scheduled baselines, and the baselines that were published while no worker was running."""
        versions = [baseline.baseline_version for baseline in self._baselines]
        last_offered = self._stream.last_offered_version
        if last_offered not in versions:
            last_offered = self._state["baseline_version"]
        start = versions.index(last_offered) + 1 if last_offered in versions else 0
        for index, baseline in enumerate(self._baselines):
            is_scheduled = baseline.baseline_version in self._state["pending_versions"]
            if baseline is not active and baseline.source not in PARTITION_SOURCES and (index >= start or is_scheduled):
                yield baseline

    def _restore_learner(self) -> None:
        learner = Learner(self._stream.subject, self._settings)
        if self._load_learner(learner, "learner", "learning of its baseline restarts"):
            self._stream.learner = learner

    def _restore_relearning(self) -> None:
        stream, state = self._stream, self._state["relearning"]
        if state is not None:
            relearning = Relearning.load(stream.subject, state, self._settings)
            if not self._load_learner(relearning.learner, "relearner", "relearning of its signals restarts"):
                relearning = Relearning.load(stream.subject, state, self._settings)
            stream.relearning = relearning
        # Checkpoints of earlier versions do not contain the requests that were applied.
        is_known = "applied_relearns" in self._state
        for relearn in self._relearns:
            if is_known or state is None or relearn.at > state["at_ms"]:
                stream.relearn(relearn)

    def _load_learner(self, learner: Learner, kind: str, consequence: str) -> bool:
        """Load all parts of a learner. If a part does not fit, discard all parts and return False."""
        subject = self._stream.subject
        for part in self._store.items(kind, subject):
            if not self._store.load(part, partial(learner.load_part, part.item)):
                if not self._store.is_reset(kind):
                    self._store.warn(f"{subject}: {consequence}")
                self._stream.discarded_kinds.add(kind)
                return False
        return True
