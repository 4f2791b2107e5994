"""Use of the limits of detect: the subjects of a partition, and what each of its streams stores.

A packed stream does not grow, so it counts as measured before. One that no record has unpacked since the start of the
worker does not count.
"""

from collections import Counter
from collections.abc import Iterator

from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream import Stream, Streams
from pipeline.limit_use import LimitUse

CUSTOM_SIGNALS, SEGMENT_VALUES = "custom_signals_max", "segment_values_max"
CATEGORIES, VERSIONS = "categories_max", "versions_max"


class StreamLimits:
    """Use of the limits of the streams of a partition, and how often they were reached.

    Parameters
    ----------
    settings
        The limits.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._maxima = {
            SEGMENT_VALUES: settings.segment_values_max,
            CUSTOM_SIGNALS: settings.custom_signals_max,
            CATEGORIES: settings.categories_max,
            VERSIONS: settings.versions_max,
        }
        self._hits: Counter[str] = Counter()
        self._before: dict[str, tuple[dict[str, int], dict[str, int]]] = {}

    def measure(self, streams: Streams) -> Iterator[LimitUse]:
        """Yield the use of each limit. What a restored stream counted before the first call is not counted."""
        largest = dict.fromkeys(self._maxima, 0)
        before = {subject: use for subject, use in self._before.items() if subject in streams}
        self._before = {subject: before.get(subject, ({}, {})) for subject in streams.packed}
        for subject, stream in streams.live.items():
            used, hits = self._before[subject] = _read_use(stream)
            _, hits_before = before.get(subject, (used, dict.fromkeys(hits, 0)))
            for limit, count in hits.items():
                # A new baseline begins some of the counts again. A stream that was packed all along has none before.
                self._hits[limit] += max(0, count - hits_before.get(limit, count))
        for used, _ in self._before.values():
            for limit, count in used.items():
                largest[limit] = max(largest[limit], count)
        for limit, maximum in self._maxima.items():
            yield LimitUse(limit, largest[limit], maximum, self._hits[limit])


def _read_use(stream: Stream) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of items in the fullest table of a stream, and how often it was full, by limit."""
    values, other_values = (0, 0) if stream.monitor is None else stream.monitor.segments.count_values()
    labels, other_labels = stream.statistics.count_labels()
    versions, crowded = stream.first_seen.count_labels()
    too_many = sum(count for (_, reason), count in stream.columns.bad_fields.items() if reason == "too_many")
    used = {
        SEGMENT_VALUES: values,
        CUSTOM_SIGNALS: stream.columns.custom_signal_count,
        CATEGORIES: labels,
        VERSIONS: versions,
    }
    return used, {SEGMENT_VALUES: other_values, CUSTOM_SIGNALS: too_many, CATEGORIES: other_labels, VERSIONS: crowded}
