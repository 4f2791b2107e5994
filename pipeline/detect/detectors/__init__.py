"""From laid-out blocks to crossings: the CUSUM bank, ADWIN, late bursts, demotion.

Writes no words. May import layout, one-sided tests and signals.
"""

from pipeline.detect.detectors.adwin import PaneMeans, watched_of
from pipeline.detect.detectors.demotion import Demotion
from pipeline.detect.detectors.late_bursts import LateBursts
from pipeline.detect.detectors.page_hinkley import NEXT_RECORD, Bank, Crossing

__all__ = ["NEXT_RECORD", "Bank", "Crossing", "Demotion", "LateBursts", "PaneMeans", "watched_of"]
