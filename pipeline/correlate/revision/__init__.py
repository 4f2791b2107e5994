"""The message of an incident: the only writer of alerts.

May import every other room of correlate.
"""

from pipeline.correlate.revision.revision import build_revision

__all__ = ["build_revision"]
