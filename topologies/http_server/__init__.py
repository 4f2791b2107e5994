"""The HTTP server: records, telemetry, deployments and webhooks over HTTP become messages in Kafka.

This package may import configuration, kafka and receivers.
"""

from topologies.http_server.server import run_http_server

__all__ = ["run_http_server"]
