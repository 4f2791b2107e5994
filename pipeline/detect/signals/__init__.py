"""What can be watched: the catalogue of signals, the channels of each, and the block of records that carries them.

May import the settings only.
"""

from pipeline.detect.signals import catalogue, channels
from pipeline.detect.signals.block import PANE_MS, Block, label_indexes
from pipeline.detect.signals.catalogue import Signal
from pipeline.detect.signals.channels import ChannelName
from pipeline.detect.signals.label_counts import OTHER_LABEL, LabelCounts

__all__ = [
    "OTHER_LABEL",
    "PANE_MS",
    "Block",
    "ChannelName",
    "LabelCounts",
    "Signal",
    "catalogue",
    "channels",
    "label_indexes",
]
