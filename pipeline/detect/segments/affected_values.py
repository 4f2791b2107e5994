"""The segment values that a drift of the full subject affects, in words."""

from collections.abc import Sequence

from pipeline.detect.one_sided_tests import CrossingKey
from pipeline.detect.segments.segments import AFFECTED_SHARE, Segments

AFFECTED_EVIDENCE = 4.0
"""Minimum evidence at which a value is reported as affected by a drift of the full subject."""


def describe_affected(segments: Segments, key: CrossingKey) -> str:
    """Describe the segments that a drift of the full subject affects, such as ``all in prompt=v42``, if any."""
    test, descriptions = segments.tests.indexes_by_crossing_key.get(key), []
    if test is not None:
        for dimension in segments.dimensions:
            evidences = [
                (value.label, segments.evidence(value, test)) for value in segments.monitored_values(dimension)
            ]
            affected = [label for label, evidence in evidences if evidence >= AFFECTED_EVIDENCE]
            total = sum(evidence for _, evidence in evidences if evidence >= AFFECTED_EVIDENCE)
            remainder = sum(evidence for _, evidence in evidences) - total
            # If many values deviate slightly, the few values that stand out by chance are not the cause.
            if len(evidences) > 1 and total > max(remainder, AFFECTED_SHARE * segments.tests[test].threshold):
                descriptions.append(_describe_values(dimension, affected, len(evidences)))
    return " and ".join(descriptions[:2])


def _describe_values(dimension: str, affected: Sequence[str], count: int) -> str:
    if len(affected) == 1:
        return f"all in {dimension}={affected[0]}"
    return f"in every {dimension}" if len(affected) == count else f"in {len(affected)} of {count} {dimension}s"
