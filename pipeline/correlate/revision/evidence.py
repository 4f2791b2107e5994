"""Evidence: the drifts of an incident as lines, one per finding."""

from collections.abc import Iterable

from pipeline.correlate.incidents import running_log
from schemas.drift import Drift
from schemas.incident import SignalEvidence

LINE_SEGMENTS_MAX = 5
"""Maximum number of segments in a line of evidence."""

SEGMENTS_MAX = 20
"""Maximum number of segments in an incident message."""


def evidence_lines(drifts: Iterable[Drift], dedup_window_s: float, limit: int) -> list[SignalEvidence]:
    """Return the lines of evidence: firing before recovered, page tier before ticket tier, earliest first.

    Drifts of the same signal, channel, side and tier from several partitions or segments that fired within
    ``dedup_window_s`` of the first are one finding and one line. The numbers are from the drift of the full subject if
    there is one, or else from the drift that fired first. The line is recovered when all its drifts have recovered. A
    ticket-tier line that repeats a page-tier line is omitted, unless it still fires after the page-tier line has
    recovered.
    """
    return _sort_lines([_line(finding) for finding in _findings(drifts, dedup_window_s * 1000)], limit)


def parent_evidence_lines(drifts: Iterable[Drift], limit: int) -> list[SignalEvidence]:
    """Return the lines of evidence of a parent: one per signal, channel, side and tier, over all subjects.

    The numbers are from the subject that fired first. The sentence states the number of subjects.
    """
    groups: dict[tuple[str, ...], list[Drift]] = {}
    for drift in sorted(drifts, key=lambda drift: (drift.detected_at, drift.drift_id)):
        groups.setdefault(_finding_key(drift), []).append(drift)
    lines = []
    for group in groups.values():
        line, count = _line(group), len({drift.subject for drift in group})
        subject = next(drift.subject for drift in group if drift.drift_id == line.drift_id)
        where = f"in {count} subjects, first in {subject}" if count > 1 else f"in {subject}"
        lines.append(line.model_copy(update={"sentence": running_log.shorten(f"{where}: {line.sentence}")}))
    return _sort_lines(lines, limit)


def segment_names(drifts: Iterable[Drift], limit: int = SEGMENTS_MAX) -> list[str]:
    """Return the segments of the given drifts, sorted, at most ``limit``."""
    return sorted({drift.segment for drift in drifts if drift.segment})[:limit]


def _sort_lines(lines: list[SignalEvidence], limit: int) -> list[SignalEvidence]:
    lines = _without_repetition(lines)
    lines.sort(key=lambda line: (line.state != "firing", line.tier != "page", line.detected_at, line.drift_id))
    return lines[:limit]


def _without_repetition(lines: list[SignalEvidence]) -> list[SignalEvidence]:
    page_lines = [line for line in lines if line.tier == "page"]
    paged = {(line.signal, line.channel, line.side) for line in page_lines}
    firing = {(line.signal, line.channel, line.side) for line in page_lines if line.state == "firing"}
    return [
        line
        for line in lines
        if (key := (line.signal, line.channel, line.side)) not in paged
        or line.tier == "page"
        or (line.state == "firing" and key not in firing)
    ]


def _findings(drifts: Iterable[Drift], window_ms: float) -> list[list[Drift]]:
    findings: list[list[Drift]] = []
    newest: dict[tuple[str, ...], list[Drift]] = {}
    for drift in sorted(drifts, key=lambda drift: (drift.detected_at, drift.drift_id)):
        key = _finding_key(drift)
        finding = newest.get(key)
        if finding is not None and _belongs_to(drift, finding, window_ms):
            finding.append(drift)
        else:
            newest[key] = [drift]
            findings.append(newest[key])
    return findings


def _finding_key(drift: Drift) -> tuple[str, ...]:
    return (drift.signal, drift.channel, drift.side, drift.tier)


def _belongs_to(drift: Drift, finding: list[Drift], window_ms: float) -> bool:
    """Return whether a drift belongs to a finding. A second drift of a partition and segment is a new finding."""
    is_other_stream = all((known.partition, known.segment) != (drift.partition, drift.segment) for known in finding)
    return is_other_stream and drift.detected_at - finding[0].detected_at <= window_ms


def _line(finding: list[Drift]) -> SignalEvidence:
    lead = min(finding, key=lambda drift: (bool(drift.segment), drift.detected_at, drift.drift_id))
    return SignalEvidence(
        drift_id=lead.drift_id,
        signal=lead.signal,
        layer=lead.layer,
        unit=lead.unit,
        channel=lead.channel,
        side=lead.side,
        tier=lead.tier,
        segments=segment_names(finding, LINE_SEGMENTS_MAX),
        detector=lead.detector,
        state="recovered" if all(drift.state == "recovered" for drift in finding) else "firing",
        normal=lead.normal,
        now=lead.now,
        effect=lead.effect,
        effect_kind=lead.effect_kind,
        records=lead.records,
        started_at=min(drift.started_at for drift in finding),
        detected_at=finding[0].detected_at,
        measured_at=lead.updated_at,
        sentence=running_log.shorten(lead.sentence),
    )
