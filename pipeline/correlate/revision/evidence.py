"""Evidence: the drifts of an incident as lines that a person reads, one a finding."""

from collections.abc import Iterable

from pipeline.correlate.incidents import running_log
from schemas.drift import Drift
from schemas.incident import SignalEvidence

LINE_SEGMENTS_MAX = 5
"""Segments that a line of evidence names."""

SEGMENTS_MAX = 20
"""Segments that an incident names."""


def evidence_lines(drifts: Iterable[Drift], dedup_window_s: float, limit: int) -> list[SignalEvidence]:
    """The lines of evidence: firing before recovered, page tier before ticket tier, the earliest first.

    The same signal, channel, side and tier from several partitions or segments, fired within ``dedup_window_s`` of the
    first, is one finding and one line. The numbers are those of the whole subject where it is among them, and of the
    first to fire; the line is recovered only when all of its drifts are. A ticket-tier line of what a page-tier line says
    already is left out, unless it still fires when the other has recovered.
    """
    return _first([_line(finding) for finding in _findings(drifts, dedup_window_s * 1000)], limit)


def parent_evidence_lines(drifts: Iterable[Drift], limit: int) -> list[SignalEvidence]:
    """The lines of evidence of a parent: one for each signal, channel, side and tier, whatever the subject.

    The numbers are those of the first subject to fire; the sentence says in how many it moved.
    """
    groups: dict[tuple[str, ...], list[Drift]] = {}
    for drift in sorted(drifts, key=lambda each: (each.detected_at, each.drift_id)):
        groups.setdefault((drift.signal, drift.channel, drift.side, drift.tier), []).append(drift)
    lines = []
    for group in groups.values():
        line, count = _line(group), len({drift.subject for drift in group})
        of = next(drift.subject for drift in group if drift.drift_id == line.drift_id)
        where = f"in {count} subjects, first in {of}" if count > 1 else f"in {of}"
        lines.append(line.model_copy(update={"sentence": running_log.shorten(f"{where}: {line.sentence}")}))
    return _first(lines, limit)


def segment_names(drifts: Iterable[Drift], limit: int = SEGMENTS_MAX) -> list[str]:
    """The segments that drifts name, in order of name, at most so many."""
    return sorted({drift.segment for drift in drifts if drift.segment})[:limit]


def _first(lines: list[SignalEvidence], limit: int) -> list[SignalEvidence]:
    lines = _without_repetition(lines)
    lines.sort(key=lambda line: (line.state != "firing", line.tier != "page", line.detected_at, line.drift_id))
    return lines[:limit]


def _without_repetition(lines: list[SignalEvidence]) -> list[SignalEvidence]:
    paging = [line for line in lines if line.tier == "page"]
    said = {(line.signal, line.channel, line.side) for line in paging}
    firing = {(line.signal, line.channel, line.side) for line in paging if line.state == "firing"}
    return [
        line
        for line in lines
        if (key := (line.signal, line.channel, line.side)) not in said
        or line.tier == "page"
        or (line.state == "firing" and key not in firing)
    ]


def _findings(drifts: Iterable[Drift], window_ms: float) -> list[list[Drift]]:
    findings: list[list[Drift]] = []
    newest: dict[tuple[str, ...], list[Drift]] = {}
    for drift in sorted(drifts, key=lambda each: (each.detected_at, each.drift_id)):
        key = (drift.signal, drift.channel, drift.side, drift.tier)
        open_finding = newest.get(key)
        if open_finding is not None and _belongs(drift, open_finding, window_ms):
            open_finding.append(drift)
        else:
            newest[key] = [drift]
            findings.append(newest[key])
    return findings


def _belongs(drift: Drift, finding: list[Drift], window_ms: float) -> bool:
    """Whether it is from another unit than all of the finding's: a unit's own second drift is a finding of its own."""
    elsewhere = all((each.partition, each.segment) != (drift.partition, drift.segment) for each in finding)
    return elsewhere and drift.detected_at - finding[0].detected_at <= window_ms


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
        sentence=running_log.shorten(lead.sentence),
    )
