"""Construction of the incident message. No other code writes alerts.

This package may import every other package of correlate.
"""

from pipeline.correlate.revision.drafts import add_drafts, build_drafts
from pipeline.correlate.revision.revision import build_revision

__all__ = ["add_drafts", "build_drafts", "build_revision"]
