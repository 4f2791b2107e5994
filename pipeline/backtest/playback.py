"""Playback of past records through detect, correlate and route, in one pass and without Kafka."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pipeline.backtest.incident_history import IncidentHistory
from pipeline.backtest.learning_period import LearningPeriod
from pipeline.backtest.result import BacktestResult, SubjectResult, UnusableCount
from pipeline.backtest.signal_result import NOW_SHARE, build_signal_results
from pipeline.backtest.signal_series import SignalSeries
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream import MonitoredCount, Stream
from pipeline.route import Delivery, RouteSettings, RouteStep
from pipeline.step import OutputMessage, RawMessage
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.incident import Incident
from schemas.notification import Notification
from schemas.topics import ALERTS, BASELINES, DEAD_LETTERS, DEPLOYMENTS, DRIFTS, NOTIFICATIONS, RECORDS

BATCH_MESSAGES = 1_000
LEARNING_BATCH_MESSAGES = 100
"""Messages per batch while baselines are learned. Learning ends with a batch, so it ends at most this many messages late."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Settings of the steps. If ``route`` is None, the severity of an incident alone decides whether it pages."""

    detect: DetectSettings = field(default_factory=DetectSettings)
    correlate: CorrelateSettings = field(default_factory=CorrelateSettings)
    route: RouteSettings | None = None


class Playback:
    """Backtest of one sequence of records.

    The steps are those of the workers, in a replay. The only difference is the end of learning: all subjects learn until
    the same time, and then keep their baselines.

    Parameters
    ----------
    settings
        Settings of the steps.
    learning
        The period from which baselines are learned.
    baselines
        Baselines that apply from the first record.
    deployments
        Deployments in any order.
    """

    def __init__(
        self,
        settings: BacktestSettings,
        learning: LearningPeriod,
        *,
        baselines: Iterable[Baseline] = (),
        deployments: Iterable[Deployment] = (),
    ) -> None:
        self._settings, self._learning = settings, learning
        self._series = SignalSeries()
        # Learning ends at a time that is the same for all subjects, and not when one of them is ready.
        endless = settings.detect.model_copy(update={"ready_after_s": math.inf})
        self._detect = DetectStep(0, endless, replay=True, block_observer=self._series.observe)
        self._correlate = CorrelateStep(settings.correlate, replay=True)
        self._route = None if settings.route is None else RouteStep(settings.route)
        self._history = IncidentHistory()
        self._is_learning = learning.until_ms is not None
        self._learned: dict[str, tuple[int, MonitoredCount]] = {}
        self._unusable: Counter[tuple[str, str]] = Counter()
        self._details: dict[tuple[str, str], str] = {}
        self._offsets: Counter[str] = Counter()
        self._first_ms: dict[str, int] = {}
        self._deployments = sorted(deployments, key=lambda one: (one.timestamp, one.deployment_id))
        self._sent_deployments = 0
        for baseline in baselines:
            self._detect.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))

    def play(self, messages: Iterable[bytes]) -> BacktestResult:
        """Play message values in order of their times, and return the result. Call this once."""
        numbered = enumerate(messages)
        while batch := list(islice(numbered, LEARNING_BATCH_MESSAGES if self._is_learning else BATCH_MESSAGES)):
            outputs = self._detect.step([RawMessage(RECORDS, 0, offset, 0, None, value) for offset, value in batch])
            self._pass_on(outputs)
            if self._is_learning and self._now_ms() >= (self._learning.until_ms or 0):
                self._finish_learning()
        if self._is_learning:
            self._finish_learning()
        for stream in self._detect.streams.values():
            self._pass_on(stream.flush())
        self._send_deployments(math.inf)
        return self._build_result()

    def _now_ms(self) -> int:
        return max((stream.watermark for stream in self._detect.streams.values()), default=0)

    def _finish_learning(self) -> None:
        """Compare all later records with the baselines learned so far."""
        self._is_learning = False
        for subject, stream in self._detect.streams.items():
            self._pass_on(stream.flush())
            self._learned[subject] = stream.counts["used"], stream.monitored
            if stream.learner is not None and stream.counts["used"]:
                baseline = stream.learner.baseline("file", centroid=stream.derived.embeddings.centroid)
                if baseline.signals:
                    message = RawMessage(BASELINES, 0, self._next_offset(BASELINES), 0, None, baseline.to_json())
                    self._pass_on(self._detect.control(message))

    def _pass_on(self, outputs: Sequence[OutputMessage]) -> None:
        """Pass the outputs of detect on to the next steps."""
        self._send_deployments(self._now_ms())
        for output in outputs:
            if output.topic == DRIFTS and output.value is not None:
                if b'"type":"drift"' in output.value:
                    self._history.add_drift(output.value)
                self._pass_to_correlate(DRIFTS, output.key, output.value)
            elif output.topic == DEAD_LETTERS:
                self._count_dead_letter(output)

    def _send_deployments(self, until_ms: float) -> None:
        for deployment in self._deployments[self._sent_deployments :]:
            if deployment.timestamp > until_ms:
                break
            self._sent_deployments += 1
            self._pass_to_correlate(DEPLOYMENTS, None, deployment.to_json())

    def _pass_to_correlate(self, topic: str, key: bytes | None, value: bytes) -> None:
        message = RawMessage(topic, 0, self._next_offset(topic), self._now_ms(), key, value)
        for output in self._correlate.step([message]):
            if output.topic == ALERTS and output.value is not None:
                self._history.add_revision(Incident.from_json(output.value))
                self._pass_to_route(output)
            elif output.topic == DEAD_LETTERS:
                self._count_dead_letter(output)
            elif output.topic == BASELINES:  # a declared shift is relearned
                self._pass_on(
                    self._detect.control(
                        RawMessage(BASELINES, 0, self._next_offset(BASELINES), 0, output.key, output.value)
                    )
                )

    def _pass_to_route(self, alert: OutputMessage) -> None:
        """Let route decide, and treat every notification as accepted by its receiver."""
        if self._route is None:
            return
        outputs = self._route.step([RawMessage(ALERTS, 0, self._next_offset(ALERTS), 0, alert.key, alert.value)])
        while dispatches := self._route.take_pending():
            for dispatch in dispatches:
                outputs += self._route.record_delivery(dispatch, Delivery("sent", "", 1, dispatch.decided_at))
        for output in outputs:
            if output.topic == NOTIFICATIONS and output.value is not None:
                self._history.add_notification(Notification.from_json(output.value))

    def _next_offset(self, topic: str) -> int:
        self._offsets[topic] += 1
        return self._offsets[topic] - 1

    def _count_dead_letter(self, output: OutputMessage) -> None:
        letter = DeadLetter.from_json(output.value or b"")
        what = "deployments" if letter.topic == DEPLOYMENTS else "records"
        self._unusable[what, letter.reason] += 1
        self._details.setdefault((what, letter.reason), letter.detail)

    def _build_result(self) -> BacktestResult:
        streams = {subject: stream for subject, stream in self._detect.streams.items() if stream.counts["used"]}
        counts = self._detect.counts()
        first_ms = min((self._first_time(subject) for subject in streams), default=0)
        last_ms = max((stream.watermark for stream in streams.values()), default=0)
        begin_ms = first_ms if self._learning.until_ms is None else min(self._learning.until_ms, last_ms)
        now_from_ms = round(last_ms - NOW_SHARE * (last_ms - begin_ms))
        judged = MonitoredCount()
        for subject, stream in streams.items():
            before = self._learned.get(subject, (0, MonitoredCount()))[1]
            count = stream.monitored
            judged += MonitoredCount(count.seen - before.seen, count.monitored - before.monitored)
        monitors = [stream.monitor for stream in streams.values() if stream.monitor is not None]
        if counts["held"]:
            key = ("records", "timestamp_out_of_range")
            self._unusable[key] += counts["held"]
            self._details.setdefault(key, "too few consecutive records of the subject agreed with the timestamp")
        return BacktestResult(
            learning=self._learning,
            first_ms=first_ms,
            last_ms=last_ms,
            now_from_ms=now_from_ms,
            judged_share=judged.monitored / judged.seen if judged.seen else 0.0,
            records_used=counts["used"],
            records_unusable=counts["dead_letters"] + counts["held"],
            duplicates=counts["duplicates"],
            incidents=self._history.finish(self._deployments, (monitor.baseline for monitor in monitors)),
            subjects=[self._build_subject(subject, streams[subject], now_from_ms) for subject in sorted(streams)],
            deployments=self._deployments,
            unusable=list(self._list_unusable()),
            dropped_incidents=self._history.dropped_incidents,
            dropped_drifts=self._history.dropped_drifts,
        )

    def _first_time(self, subject: str) -> int:
        series = self._series.subjects.get(subject)
        return 0 if series is None else min(series.bins) * series.width_ms

    def _list_unusable(self) -> Iterator[UnusableCount]:
        for (what, reason), count in self._unusable.most_common():
            yield UnusableCount(what, reason, count, self._details.get((what, reason), ""))

    def _build_subject(self, subject: str, stream: Stream, now_from_ms: int) -> SubjectResult:
        learned_records = self._learned.get(subject, (0, MonitoredCount()))[0]
        baseline = None if stream.monitor is None else stream.monitor.baseline
        signals = build_signal_results(
            subject, self._series.subjects[subject], baseline, self._settings.detect, now_from_ms=now_from_ms
        )
        return SubjectResult(
            subject=subject,
            first_ms=self._first_time(subject),
            last_ms=stream.watermark,
            records=stream.counts["used"],
            learned_records=learned_records,
            duplicates=stream.counts["duplicates"],
            late=stream.counts["late"],
            baseline=baseline,
            signals=signals,
            bad_fields=[
                UnusableCount(name, reason, count) for (name, reason), count in stream.columns.bad_fields.most_common()
            ],
            converted_fields=dict(stream.columns.converted_fields.most_common()),
            problem=self._explain_problem(stream, learned_records),
        )

    def _explain_problem(self, stream: Stream, learned_records: int) -> str:
        """Return why no signal of a subject was judged, or an empty text."""
        if stream.monitor is not None:
            return "" if stream.monitor.monitored_values else "no record came after its baseline was learned"
        if self._learning.until_ms is None:
            return "none of the given baselines is for this subject"
        if not learned_records:
            return "none of its records was used in the learning period"
        value, rate = self._settings.detect.ready_records, self._settings.detect.ready_records_rate
        required = min(value, rate)
        if learned_records >= required:
            return f"no value was in {value:,} records of the learning period, and no rate in {rate:,}"
        return f"only {learned_records:,} records were in the learning period, and a signal needs {required:,} or more"
