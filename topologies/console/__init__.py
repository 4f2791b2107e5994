"""Incidents as cards on a terminal, and strings from senders as plain text.

This package does not import Kafka.
"""

from topologies.console.cards import (
    card_rows,
    evidence_rows,
    print_card,
    print_drafts,
    print_running_log,
    render_card,
)
from topologies.console.incident_table import print_incidents
from topologies.console.plain_line import plain_line

__all__ = [
    "card_rows",
    "evidence_rows",
    "plain_line",
    "print_card",
    "print_drafts",
    "print_incidents",
    "print_running_log",
    "render_card",
]
