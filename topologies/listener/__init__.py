"""What the HTTP servers of driftwire share: connections within limits, authentication, answers and problems.

This package may import the settings of a listener and files with secrets.
"""

from topologies.listener.answers import JSON, PLACES_MAX, HttpProblem, HttpResponse, json_response, retry_later
from topologies.listener.client_authentication import ClientAuthentication
from topologies.listener.listener import Listener

__all__ = [
    "JSON",
    "PLACES_MAX",
    "ClientAuthentication",
    "HttpProblem",
    "HttpResponse",
    "Listener",
    "json_response",
    "retry_later",
]
