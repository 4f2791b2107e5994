"""The idempotency key of a notification or a notice, by which a receiver recognises a repeat."""

from hashlib import blake2b

from schemas.record import SUBJECT_LENGTH_MAX


def idempotency_key(*parts: str) -> str:
    """Return the parts as one key, or a hash of them if the key is too long for a label.

    >>> idempotency_key("inc-3f9a21c0b7", "1", "on-call")
    'inc-3f9a21c0b7:1:on-call'
    """
    key = ":".join(parts)
    return key if len(key) <= SUBJECT_LENGTH_MAX else blake2b(key.encode(), digest_size=16).hexdigest()
