"""What a person reads about an incident: its content, and its markup for each service.

This package does not send anything, and does not import Kafka.
"""

from topologies.messages.digest_message import write_digest
from topologies.messages.group_message import write_message
from topologies.messages.links import find_runbook
from topologies.messages.markup import render_html, render_markdown, render_text, render_title
from topologies.messages.message import IncidentMessage

__all__ = [
    "IncidentMessage",
    "find_runbook",
    "render_html",
    "render_markdown",
    "render_text",
    "render_title",
    "write_digest",
    "write_message",
]
