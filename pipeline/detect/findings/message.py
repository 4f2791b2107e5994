"""Drifts: what a judge found, as the message that detect writes."""

import hashlib
import math
from collections.abc import Iterable

from pipeline.detect.findings.finding import Finding
from pipeline.step import Output
from schemas.drift import Drift
from schemas.timestamp import format_timestamp
from schemas.topics import DRIFTS

NUMBER_MAX = 1e12
"""Any unit: JSON has no infinity, and the odds of something never seen before have no end."""


def drift_output(
    finding: Finding,
    *,
    subject: str,
    partition: int,
    baseline_version: str,
    environment: str | None,
    provider: str | None,
) -> Output:
    """The message of a finding. Its id is a hash of what was found and of the record that fired, never of an offset."""
    drift_id = _hash(
        subject,
        finding.segment,
        finding.signal.name,
        finding.channel,
        finding.side,
        finding.tier,
        baseline_version,
        format_timestamp(finding.detected_at),
        finding.request_id or "",
    )
    drift = Drift(
        drift_id=drift_id,
        sequence=finding.sequence,
        state=finding.state,
        subject=subject,
        partition=partition,
        segment=finding.segment,
        environment=environment,
        provider=provider,
        signal=finding.signal.name,
        layer=finding.signal.layer,
        failure_mode=finding.signal.failure_mode,
        unit=finding.signal.unit,
        channel=finding.channel,
        side=finding.side,
        tier=finding.tier,
        detector=finding.detector,
        baseline_version=baseline_version,
        started_at=finding.started_at,
        detected_at=finding.detected_at,
        updated_at=finding.updated_at,
        request_id=finding.request_id,
        normal=_rounded(finding.normal),
        now=_rounded(finding.now),
        effect=_rounded(finding.effect),
        effect_kind=finding.effect_kind,
        records=finding.records,
        evidence=_rounded(finding.evidence),
        threshold=_rounded(finding.threshold),
        sentence=finding.sentence,
        demote=finding.demote,
        traffic_share=_rounded(finding.traffic_share),
        series=list(finding.series),
    )
    return Output(DRIFTS, drift_id.encode(), drift.to_json())


def read_drift(value: bytes | None) -> Drift | None:
    """The drift that a message of the drifts' topic holds; None if it is a tick."""
    return Drift.from_json(value) if value is not None and b'"type":"drift"' in value else None


def read_drifts(outputs: Iterable[Output]) -> list[Drift]:
    """The drifts among what a step wrote, in their order."""
    found = (read_drift(output.value) for output in outputs if output.topic == DRIFTS)
    return [drift for drift in found if drift is not None]


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _rounded(number: float) -> float:
    """Six digits: sums in another order may differ in the last bits, and no reader needs them."""
    if math.isnan(number):
        return 0.0
    return float(f"{min(max(number, -NUMBER_MAX), NUMBER_MAX):.6g}")
