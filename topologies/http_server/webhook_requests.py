"""Webhooks: their secrets, and what results from their requests."""

import logging
from collections.abc import Mapping
from typing import Any

from pipeline.webhooks import WebhookRefused, WebhookSettings, read_webhook
from topologies.http_server.decoded_request import DecodedRequest, RequestContent
from topologies.listener import PLACES_MAX, HttpProblem, json_response, retry_later
from topologies.receivers import SecretUnavailable, read_secret

RETRY_S = 60
"""Seconds after which a publisher should repeat a request if its secret cannot be read."""

logger = logging.getLogger("driftwire")


def read_secrets(name: str, settings: WebhookSettings) -> list[bytes]:
    """Return the secrets of a webhook. They are read again for each request, so a new secret needs no restart.

    Raises
    ------
    SecretUnavailable
        If a file cannot be read or is empty, if an environment variable is not set, or if a secret is blank. The message
        names it.
    """
    key = f"http.webhooks.{name}.secrets"
    if settings.secrets is not None:
        secrets = [read_secret(value, None, key).strip().encode() for value in settings.secrets]
        if not all(secrets):
            raise SecretUnavailable(f"cannot use {key}: a secret is blank: set it, or remove it")
        return secrets
    lines = read_secret(None, settings.secrets_file, key).splitlines()
    return [line.strip().encode() for line in lines if line.strip()]


def missing_webhook_secrets(webhooks: Mapping[str, WebhookSettings]) -> list[str]:
    """Return one line per webhook whose secret cannot be read."""
    problems = []
    for name, settings in webhooks.items():
        try:
            read_secrets(name, settings)
        except SecretUnavailable as error:
            problems.append(f"http.webhooks.{name}: {error}")
    return problems


def read_webhook_request(name: str, settings: WebhookSettings, request: RequestContent) -> DecodedRequest:
    """Return the messages that result from a webhook.

    Raises
    ------
    HttpProblem
        If the sender cannot be authenticated or the content cannot be used.
    """
    try:
        secrets = read_secrets(name, settings)
    except SecretUnavailable as error:
        logger.warning("http: webhook %s: %s", name, error)
        raise retry_later(503, "the secret of this webhook cannot be read: see the log", RETRY_S) from None
    try:
        result = read_webhook(settings, secrets, request.headers, request.body, request.now_ms)
    except WebhookRefused as error:
        raise HttpProblem(error.status, error.message) from None
    answer: dict[str, Any] = {"written": len(result.outputs)}
    if result.ignored is not None:
        answer["ignored"] = result.ignored
    if result.warnings:
        answer["warnings"] = result.warnings[:PLACES_MAX]
    return DecodedRequest(result.outputs, json_response(answer))
