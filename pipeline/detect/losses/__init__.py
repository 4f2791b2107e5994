"""Losses: shares of unusable fields, duplicates and dead letters, which are tested against a fixed limit.

A loss needs no baseline: it is tested from the first record. This package may import detectors, findings, one-sided
tests, admission and signals.
"""

from pipeline.detect.losses.dead_letter_monitor import DeadLetterMonitor
from pipeline.detect.losses.stream_losses import StreamLosses

__all__ = ["DeadLetterMonitor", "StreamLosses"]
