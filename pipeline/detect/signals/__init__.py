"""Signals: the catalogue, the rules of the configuration, the channels of a signal, and the block of records.

This package may only import the settings.
"""

from pipeline.detect.signals import catalogue, channels
from pipeline.detect.signals.block import PANE_MS, Block, label_indexes
from pipeline.detect.signals.catalogue import Signal
from pipeline.detect.signals.channels import ChannelName
from pipeline.detect.signals.label_counts import LabelCounts

__all__ = [
    "PANE_MS",
    "Block",
    "ChannelName",
    "LabelCounts",
    "Signal",
    "catalogue",
    "channels",
    "label_indexes",
]
