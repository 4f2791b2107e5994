"""The HTTP server: records, telemetry, deployments and webhooks over HTTP become messages in Kafka.

This package may import configuration, kafka and receivers.
"""

from topologies.http_server.server import run_http_server
from topologies.http_server.webhook_requests import missing_webhook_secrets

__all__ = ["missing_webhook_secrets", "run_http_server"]
