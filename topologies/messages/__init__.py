"""What a person reads about an incident: its content, and its markup for each service.

This package does not send anything, and does not import Kafka.
"""

from topologies.messages.markup import render_html, render_markdown, render_text
from topologies.messages.message import IncidentMessage, MessageAction, MessageFact, MessageLink, write_message

__all__ = [
    "IncidentMessage",
    "MessageAction",
    "MessageFact",
    "MessageLink",
    "render_html",
    "render_markdown",
    "render_text",
    "write_message",
]
