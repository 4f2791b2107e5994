"""The demo and the walkthrough: a story with known failures, played on a real Kafka.

May import world, inputs, stage and traffic.
"""

from load.demo.play_demo import play, show
from load.demo.walkthrough import Walked, walk

__all__ = ["Walked", "play", "show", "walk"]
