"""Webhooks: their secrets, and what results from their requests."""

from collections.abc import Mapping

from pipeline.step import OutputMessage
from pipeline.webhooks import WebhookRefused, WebhookSettings, read_webhook
from topologies.http_server.answers import PLACES_MAX, HttpProblem
from topologies.receivers import SecretUnavailable, read_secret


def read_secrets(name: str, settings: WebhookSettings) -> list[bytes]:
    """Return the secrets of a webhook. They are read again for each request, so a new secret needs no restart.

    Raises
    ------
    SecretUnavailable
        If a file cannot be read or is empty, or if an environment variable is not set. The message names it.
    """
    key = f"http.webhooks.{name}.secrets"
    if settings.secrets is not None:
        return [read_secret(value, None, key).encode() for value in settings.secrets]
    lines = read_secret(None, settings.secrets_file, key).splitlines()
    return [line.strip().encode() for line in lines if line.strip()]


def read_webhook_request(
    name: str, settings: WebhookSettings, headers: Mapping[str, str], body: bytes, now_ms: int
) -> tuple[list[OutputMessage], dict[str, object]]:
    """Return the messages that result from a webhook, and the content of the answer.

    Raises
    ------
    HttpProblem
        If the sender cannot be authenticated or the content cannot be used.
    SecretUnavailable
        If the secret cannot be read.
    """
    try:
        result = read_webhook(settings, read_secrets(name, settings), headers, body, now_ms)
    except WebhookRefused as error:
        raise HttpProblem(error.status, error.message) from None
    answer: dict[str, object] = {"written": len(result.outputs)}
    if result.ignored is not None:
        answer["ignored"] = result.ignored
    if result.warnings:
        answer["warnings"] = result.warnings[:PLACES_MAX]
    return result.outputs, answer


__all__ = ["SecretUnavailable", "read_secrets", "read_webhook_request"]
