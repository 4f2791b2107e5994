"""The demo and the walkthrough: scenarios with planted failures, played on a real Kafka.

This package may import world, harness and traffic.
"""

from load.demo.playback import DemoResult, play_demo
from load.demo.walkthrough import WalkthroughResult, play_walkthrough

__all__ = ["DemoResult", "WalkthroughResult", "play_demo", "play_walkthrough"]
