"""Incidents as cards on a terminal.

Imports no Kafka.
"""

from topologies.console.cards import card, print_card, print_drafts, print_log

__all__ = ["card", "print_card", "print_drafts", "print_log"]
