"""The metrics of one worker: counters and histograms that grow, and gauges that are computed when they are read."""

import importlib.metadata
from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from pipeline.step import Measurement
from topologies.metrics.metric_list import METRICS

EXEMPLAR_LENGTH_MAX = 100
"""Maximum number of characters of an exemplar. OpenMetrics allows 128 with the name of its label."""

Totals = dict[tuple[str, tuple[str, ...]], float]
"""Values by the name of the metric and the labels of the step."""

# Without the times of creation, every series is a metric of the list.
disable_created_metrics()  # type: ignore[no-untyped-call]


class WorkerMetrics:
    """Metrics of a worker. All values are given per batch or per checkpoint, never per record.

    Parameters
    ----------
    step
        Name of the step, which is the value of the label ``step``.
    clock
        The wall clock in Unix seconds, or None in a replay.
    """

    def __init__(self, step: str, clock: Callable[[], float] | None) -> None:
        self.clock = clock
        self._step = step
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._series: dict[tuple[str, tuple[str, ...]], Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._measure: Callable[[], Iterable[Measurement]] = tuple
        for metric in METRICS:
            if step not in metric.steps or metric.is_standard:
                continue
            labels, declared = ("step", *metric.labels), (metric.name, metric.meaning)
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(*declared, labels, registry=self._registry)
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(*declared, labels, registry=self._registry)
            else:
                histogram = Histogram(*declared, labels, registry=self._registry, buckets=metric.buckets)
                self._histograms[metric.name] = histogram
                histogram.labels(step)
        for metric in METRICS:
            if metric.name in self._counters:
                for values in metric.initial_labels or ([()] if not metric.labels else []):
                    self.count(metric.name, 0, *values)
        ProcessCollector(registry=self._registry)
        self._version = importlib.metadata.version("driftwire")

    def count(self, name: str, amount: float, *labels: str) -> None:
        """Add an amount to a counter."""
        series = self._series.get((name, labels))
        if series is None:  # it costs most to find a series by its labels
            series = self._series[name, labels] = self._counters[name].labels(self._step, *labels)
        series.inc(amount)

    def observe(self, name: str, value: float, *, incident_id: str | None = None) -> None:
        """Add a value to a histogram, with the id of an incident as its exemplar."""
        exemplar = None
        if incident_id is not None and len(incident_id) <= EXEMPLAR_LENGTH_MAX:
            exemplar = {"incident_id": incident_id}
        self._histograms[name].labels(self._step).observe(value, exemplar)

    def count_gains(self, before: "Totals", measurements: Iterable[Measurement]) -> None:
        """Add to the counters what measurements have gained since earlier ones.

        Parameters
        ----------
        before
            The earlier values. They are updated.
        measurements
            The measurements. Gauges are ignored.
        """
        for metric, value, labels in measurements:
            if metric in self._counters:
                gained = value - before.get((metric, labels), 0)
                before[metric, labels] = value
                if gained > 0:  # a dropped part of the state takes its counts with it
                    self.count(metric, gained, *labels)

    def on_read(self, measure: Callable[[], Iterable[Measurement]]) -> None:
        """Set the function that returns the gauges. It is called when the metrics are read."""
        self._measure = measure

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that a client accepts."""
        self._compute_gauges()
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _compute_gauges(self) -> None:
        """Compute all gauges. Values with equal labels are added up, unless the largest of them counts."""
        largest = {metric.name for metric in METRICS if metric.is_largest}
        totals: Totals = defaultdict(float)
        for metric in METRICS:
            for values in metric.initial_labels:
                totals[metric.name, values] = 0
        for name, value, labels in self._measure():
            totals[name, labels] = max(totals[name, labels], value) if name in largest else totals[name, labels] + value
        totals["driftwire_build_info", (self._version,)] = 1
        for gauge in self._gauges.values():
            gauge.clear()
        for (name, labels), value in totals.items():
            if name in self._gauges:
                self._gauges[name].labels(self._step, *labels).set(value)
