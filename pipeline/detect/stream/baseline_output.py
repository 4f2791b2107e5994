"""The message that publishes a baseline that a stream has learned."""

from pipeline.step import OutputMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES


def baseline_output(baseline: Baseline) -> OutputMessage:
    """Return the message that publishes a baseline. Compaction retains the newest message per version."""
    return OutputMessage(BASELINES, f"{baseline.subject}/{baseline.baseline_version}".encode(), baseline.to_json())
