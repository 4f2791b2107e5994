"""A webhook, from the bytes of a request to messages for Kafka: check the sender, decode the body, read the payload.

To add a publisher, add a file with its reader to ``publishers`` and one row here, and its proof in ``signatures.py``.
"""

from collections.abc import Callable, Mapping, Sequence

from pipeline.decoding import Unreadable, decode_object
from pipeline.webhooks.entries import Condition
from pipeline.webhooks.publishers import (
    read_argocd,
    read_cdevents,
    read_generic,
    read_github,
    read_langfuse,
    read_launchdarkly,
    read_pagerduty,
)
from pipeline.webhooks.request import WebhookRefused, WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookKind, WebhookSettings
from pipeline.webhooks.signatures import check_sender

PAYLOAD_BYTES_MAX = 1_048_576
"""Maximum size of a body, in bytes."""

READERS: dict[WebhookKind, Callable[[WebhookSettings, WebhookRequest], WebhookResult]] = {
    "argocd": read_argocd,
    "cdevents": read_cdevents,
    "generic": read_generic,
    "github": read_github,
    "langfuse": read_langfuse,
    "launchdarkly": read_launchdarkly,
    "pagerduty": read_pagerduty,
}
"""The reader of the payload of each publisher."""


def read_webhook(
    settings: WebhookSettings, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_ms: int
) -> WebhookResult:
    """Return what results from a request.

    The ids of the results depend on the change alone, so a request that is delivered twice has the same results.

    Parameters
    ----------
    secrets
        The secrets of the settings. Any of them may prove the sender.
    headers
        Headers of the request, by name in lower case.
    body
        The body as it was received.
    now_ms
        Time of arrival, in Unix milliseconds.

    Raises
    ------
    WebhookRefused
        If the request cannot be used. No content raises another error.
    ValueError
        If there is no secret, or an empty one.
    """
    if not secrets or not all(secrets):
        raise ValueError("a webhook needs a secret")
    if len(body) > PAYLOAD_BYTES_MAX:
        raise WebhookRefused(413, f"the body has {len(body):,} bytes; a webhook has {PAYLOAD_BYTES_MAX:,} at most")
    check_sender(settings, secrets, headers, body, now_ms)
    payload = decode_object(body, "the body", bytes_max=PAYLOAD_BYTES_MAX)
    if isinstance(payload, Unreadable):
        raise WebhookRefused(400, f"{payload.detail}: let the publisher send application/json")
    if not _meets_conditions(settings, payload):
        return WebhookResult(ignored="the payload does not meet the conditions of the key when")
    return READERS[settings.kind](settings, WebhookRequest(headers, body, payload, now_ms))


def _meets_conditions(settings: WebhookSettings, payload: dict[str, object]) -> bool:
    met: dict[str, bool] = {}
    for text in settings.when:
        condition = Condition(text)
        source = condition.source.text
        met[source] = met.get(source, False) or condition.holds(payload)
    return all(met.values())
