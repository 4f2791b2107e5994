"""Silences of a stream that no record has ended: on ticks in live operation, and by the watermark in a replay."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings import Finding
from pipeline.detect.traffic import MinuteRequests
from pipeline.step import OutputMessage
from schemas.drift import MINUTE_MS

if TYPE_CHECKING:
    from pipeline.detect.stream.stream import Stream

SHIFT_MAX_MS = 60_000
"""Maximum milliseconds by which the wall clock and the time of the last record may differ by chance. If they differ by
more, the worker was stopped, or records arrive late, and the hours are those in which no record was missed."""


def report_live_silence(stream: "Stream", wall_ms: int) -> list[OutputMessage]:
    """Report that a stream has been silent for the time that was counted, once per silence and tier."""
    silent_ms = stream.silence.silent_ms or 0
    if not stream.silence.may_report(silent_ms):
        return []
    stream.settle()
    last_ms = stream.watermark
    from_ms = last_ms if wall_ms - silent_ms - last_ms <= SHIFT_MAX_MS else wall_ms - silent_ms
    reported = _report(stream, from_ms, from_ms + silent_ms, now_ms=max(wall_ms, last_ms), shift_max_ms=SHIFT_MAX_MS)
    return [output for _, output in reported]


def report_replayed_silence(stream: "Stream", before_ms: int, reached_ms: int) -> list[tuple[int, OutputMessage]]:
    """Report a silence between two times of the partition's watermark, once per silence and tier, with the times due."""
    after_s = stream.silence_after_s
    if after_s is None or reached_ms - before_ms < after_s * 1000:
        return []
    return _report(stream, before_ms, reached_ms)


def find_block_silences(stream: "Stream", pane_before: int | None, panes: NDArray[np.int64]) -> list[Finding]:
    """Return the findings for silences between the records of a block, and for a silence that they end."""
    version = stream.baseline_version or ""
    return stream.silence.find_silences(
        pane_before,
        panes,
        stream.silence_after_s,
        version,
        lambda last_ms: stream.silence.rule_due(last_ms, count_recent_requests(stream, last_ms)),
    )


def count_recent_requests(stream: "Stream", last_ms: int) -> float:
    """Return the requests of about the hour up to a time, from the start of a window. Records after it may have arrived."""
    minute = last_ms // MINUTE_MS
    waiting = stream.derived.requests.count_between(stream.request_hours.recent_from(minute), minute)
    return stream.request_hours.recent_requests(minute) + waiting


def add_request_hours(stream: "Stream", minutes: Sequence[MinuteRequests]) -> None:
    """Store the requests of minutes for the next renewal, except those of a loss. A published baseline is not renewed."""
    is_excluded = stream.request_loss.is_open or stream.history.is_paused
    stream.request_hours.add(minutes, is_excluded=is_excluded, pages=lambda *gap: _gap_pages(stream, *gap))


def _gap_pages(stream: "Stream", begins: int, length: int) -> bool:
    """Return whether a gap pages, from its last minute with a record and its length in minutes."""
    rule, last_ms = stream.silence.rule, (begins + 1) * MINUTE_MS - 1
    if rule is None or (length + 1) * MINUTE_MS < rule.least_s * 1000:
        return False
    return rule.pages(last_ms, count_recent_requests(stream, last_ms), last_ms + length * MINUTE_MS)


def _report(
    stream: "Stream", from_ms: int, reached_ms: int, *, now_ms: int | None = None, shift_max_ms: int = 0
) -> list[tuple[int, OutputMessage]]:
    silence, last_ms = stream.silence, stream.watermark
    if silence.is_paused:
        return []
    due = silence.find_due(last_ms, from_ms, lambda: count_recent_requests(stream, last_ms), shift_max_ms=shift_max_ms)
    if due is None:
        return []
    version = stream.baseline_version or ""
    reported = silence.report(
        due, last_ms=last_ms, from_ms=from_ms, reached_ms=reached_ms, version=version, now_ms=now_ms
    )
    stream.changed = stream.changed or bool(reported)
    return [(due_ms, stream.drift_output(finding)) for due_ms, finding in reported]
