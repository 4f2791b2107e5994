"""Detectors, which find crossings in the grid of a block: the CUSUM bank, ADWIN, late bursts, and demotion.

This package does not build sentences or messages. It may import layout, one-sided tests and signals.
"""

from pipeline.detect.detectors.adwin import AdwinBank
from pipeline.detect.detectors.cusum import Crossing, CusumState, StepSums
from pipeline.detect.detectors.demotion import Demotion
from pipeline.detect.detectors.late_bursts import LateBursts
from pipeline.detect.detectors.page_hinkley import PageHinkleyBank
from pipeline.detect.detectors.page_hinkley_batch import PageHinkleyBatch

__all__ = [
    "AdwinBank",
    "Crossing",
    "CusumState",
    "Demotion",
    "LateBursts",
    "PageHinkleyBank",
    "PageHinkleyBatch",
    "StepSums",
]
