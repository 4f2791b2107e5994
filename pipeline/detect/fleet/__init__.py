"""The blocks of many streams, observed in one pass. Streams with anything unusual are observed one by one.

This package may import all other packages of detect except control, step and offline.
"""

from pipeline.detect.fleet.quiet_blocks import observe_blocks

__all__ = ["observe_blocks"]
