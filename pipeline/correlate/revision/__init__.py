"""Construction of the incident message. No other code writes alerts.

This package may import every other package of correlate.
"""

from pipeline.correlate.revision.revision import build_revision

__all__ = ["build_revision"]
