"""Incidents as cards on a terminal.

This package does not import Kafka.
"""

from topologies.console.cards import print_card, print_drafts, print_running_log, render_card

__all__ = ["print_card", "print_drafts", "print_running_log", "render_card"]
