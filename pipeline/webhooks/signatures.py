"""Proofs of the sender of a webhook: HMAC-SHA256 signatures and shared tokens, compared in constant time.

Each check raises :class:`~pipeline.webhooks.request.WebhookRefused` with status 401 if there is no valid proof. Any of
several secrets may prove the sender, so a secret can be replaced without a gap.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence

from pipeline.webhooks.request import WebhookRefused
from pipeline.webhooks.settings import WebhookSettings

_TIMESTAMP = re.compile(r"[0-9]{9,12}")
_TOKEN_HEADER = "Authorization"  # noqa: S105 the name of a header
_BEARER = "bearer "


def check_sender(
    settings: WebhookSettings, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_ms: int
) -> None:
    """Check the proof that the publisher of a webhook sends.

    Sources: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries,
    https://launchdarkly.com/docs/home/infrastructure/webhooks,
    https://langfuse.com/docs/prompt-management/features/webhooks-slack-integrations,
    https://developer.pagerduty.com/docs/verifying-signatures. Argo CD and CDEvents define no
    signature, so they send a token.
    """
    match settings.kind:
        case "github":
            check_hmac(secrets, "X-Hub-Signature-256", headers, body, prefix="sha256=")
        case "launchdarkly":
            check_hmac(secrets, "X-LD-Signature", headers, body)
        case "langfuse":
            window_s = settings.replay_window_s
            check_timed_hmac(secrets, "x-langfuse-signature", headers, body, now_ms=now_ms, window_s=window_s)
        case "pagerduty":
            check_versioned_hmac(secrets, "X-PagerDuty-Signature", headers, body)
        case "argocd" | "cdevents":
            check_token(secrets, settings.header or _TOKEN_HEADER, headers)
        case "generic" if settings.signature == "hmac":
            check_any_hmac(secrets, settings.header, headers, body)
        case "generic":
            check_token(secrets, settings.header, headers)


def check_hmac(
    secrets: Sequence[bytes], header: str, headers: Mapping[str, str], body: bytes, *, prefix: str = ""
) -> None:
    """Check a header that contains the HMAC-SHA256 of the body in hex.

    Parameters
    ----------
    header
        Name of the header, as its publisher writes it.
    prefix
        Text before the digest, such as ``sha256=``.
    """
    sent = _require_header(header, headers)
    if not sent.startswith(prefix) or not _is_signed(secrets, body, [sent.removeprefix(prefix)]):
        raise WebhookRefused(401, f"the signature in {header} is wrong: check the secret on both sides")


def check_any_hmac(secrets: Sequence[bytes], header: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check a header that contains the HMAC-SHA256 of the body in hex or base64, with or without ``sha256=``."""
    sent = _require_header(header, headers).removeprefix("sha256=")
    if not _is_signed(secrets, body, [sent, _hex_of_base64(sent)]):
        raise WebhookRefused(401, f"the signature in {header} is wrong: check the secret on both sides")


def check_timed_hmac(
    secrets: Sequence[bytes], header: str, headers: Mapping[str, str], body: bytes, *, now_ms: int, window_s: float
) -> None:
    """Check a header ``t=TIME,v1=DIGEST``: the HMAC-SHA256 of the time in Unix seconds, a dot and the body.

    A request whose time is more than ``window_s`` from its arrival is refused, because it may have been copied.
    """
    parts = [part.strip().partition("=") for part in _require_header(header, headers).split(",")]
    times = [value for name, _, value in parts if name == "t" and _TIMESTAMP.fullmatch(value)]
    digests = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _is_signed(secrets, times[0].encode() + b"." + body, digests):
        raise WebhookRefused(401, f"the signature in {header} is wrong: check the secret on both sides")
    if abs(now_ms - int(times[0]) * 1000) > window_s * 1000:
        raise WebhookRefused(
            401, f"the request was signed more than {window_s:g} s from its arrival: check the clocks, or send it again"
        )


def check_versioned_hmac(secrets: Sequence[bytes], header: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check a header ``v1=DIGEST,v1=DIGEST``: the HMAC-SHA256 of the body in hex, once for each secret of the publisher."""
    parts = [part.strip().partition("=") for part in _require_header(header, headers).split(",")]
    if not _is_signed(secrets, body, [value for name, _, value in parts if name == "v1"]):
        raise WebhookRefused(401, f"the signature in {header} is wrong: check the secret on both sides")


def check_token(secrets: Sequence[bytes], header: str, headers: Mapping[str, str]) -> None:
    """Check a header that contains a shared token. In ``Authorization``, it has the scheme Bearer."""
    sent = _require_header(header, headers)
    if header.lower() == "authorization" and sent[: len(_BEARER)].lower() == _BEARER:
        sent = sent[len(_BEARER) :].strip()
    matches = [hmac.compare_digest(secret, sent.encode(errors="surrogateescape")) for secret in secrets]
    if not any(matches):
        raise WebhookRefused(401, f"the token in {header} is wrong: check the secret on both sides")


def _require_header(header: str, headers: Mapping[str, str]) -> str:
    sent = headers.get(header.lower(), "").strip()
    if not sent:
        raise WebhookRefused(401, f"the request has no header {header}: set the secret at the publisher")
    return sent


def _is_signed(secrets: Sequence[bytes], signed: bytes, digests: Sequence[str]) -> bool:
    """Return whether any digest is that of any secret. All are compared, whatever the result."""
    sent = [digest.strip().lower().encode(errors="surrogateescape") for digest in digests]
    valid = [hmac.new(secret, signed, "sha256").hexdigest().encode() for secret in secrets]
    matches = [hmac.compare_digest(one, digest) for one in valid for digest in sent]
    return any(matches)


def _hex_of_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex()
    except ValueError:
        return ""
