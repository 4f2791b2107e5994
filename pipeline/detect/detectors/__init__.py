"""From laid-out blocks to crossings: the CUSUM bank, ADWIN, late bursts, demotion.

Writes no words. May import layout, one-sided tests and signals.
"""

from pipeline.detect.detectors.adwin import AdwinBank, adwin_channels
from pipeline.detect.detectors.demotion import Demotion
from pipeline.detect.detectors.late_bursts import LateBursts
from pipeline.detect.detectors.page_hinkley import NEXT_RECORD, Crossing, PageHinkleyBank

__all__ = ["NEXT_RECORD", "AdwinBank", "Crossing", "Demotion", "LateBursts", "PageHinkleyBank", "adwin_channels"]
