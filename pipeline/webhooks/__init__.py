"""Webhooks of other tools: their senders are checked, and they become deployments and commands.

This package is pure, and imports the checks of deployments and the codecs of the pipeline. No step imports it.
"""

from pipeline.webhooks.request import WebhookRefused, WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings
from pipeline.webhooks.webhook import PAYLOAD_BYTES_MAX, read_webhook

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "WebhookRefused",
    "WebhookRequest",
    "WebhookResult",
    "WebhookSettings",
    "read_webhook",
]
