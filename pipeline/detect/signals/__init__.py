"""What can be watched: the catalogue of signals, the channels of each, and the block of records that carries them.

May import the settings only.
"""

from pipeline.detect.signals import catalogue, channels
from pipeline.detect.signals.block import PANE_MS, Block, codes
from pipeline.detect.signals.catalogue import Signal
from pipeline.detect.signals.channels import ChannelName
from pipeline.detect.signals.label_counts import OTHER, Mix

__all__ = ["OTHER", "PANE_MS", "Block", "ChannelName", "Mix", "Signal", "catalogue", "channels", "codes"]
