"""Digests: when each one is due, what it contains, and to whom it is owed.

This package may import the settings, labels, notices and the notification log of route.
"""

from pipeline.route.digest.digest_contents import STALE_AFTER_MS, build_digest
from pipeline.route.digest.digest_times import DigestTimes
from pipeline.route.digest.digests import Digests

__all__ = ["STALE_AFTER_MS", "DigestTimes", "Digests", "build_digest"]
