"""Losses: shares of unusable fields, duplicates and dead letters, and requests that no longer arrive.

A share is tested against a fixed limit from the first record. A loss of requests needs a baseline. This package may
import detectors, findings, one-sided tests, admission, traffic and signals.
"""

from pipeline.detect.losses.dead_letter_monitor import DeadLetterMonitor
from pipeline.detect.losses.request_loss import RequestLoss
from pipeline.detect.losses.stream_losses import StreamLosses

__all__ = ["DeadLetterMonitor", "RequestLoss", "StreamLosses"]
