"""Probes: records of prompts that must be blocked, with their outcomes, as sent by a prober."""

from collections.abc import Iterator
from itertools import count as count_from

from load.traffic.outgoing_message import OutgoingMessage
from schemas.record import Record, Safety


def generate_probes(
    subject: str,
    *,
    start_ms: int,
    every_ms: int,
    blocked: bool,
    count: int | None = None,
    environment: str | None = None,
) -> Iterator[OutgoingMessage]:
    """Yield the outcomes of known-bad prompts as messages.

    Parameters
    ----------
    subject, environment
        Subject and environment of the probed service.
    start_ms, every_ms
        Time of the first probe in Unix ms, and milliseconds between two probes.
    blocked
        Whether the filter blocked the prompts.
    count
        Number of probes. If None, the number is unlimited.

    >>> [message] = generate_probes("bot", start_ms=1_795_489_920_000, every_ms=10_000, blocked=False, count=1)
    >>> Record.from_json(message.value).safety
    Safety(filter_triggered=None, filter_skipped=None, policy_violation=None, injection_score=None, jailbreak_suspected=None, pii_detected=None, probe_blocked=False)
    """
    for number in count_from() if count is None else range(count):
        at_ms = start_ms + number * every_ms
        record = Record(
            subject=subject,
            request_id=f"probe-{at_ms}",
            timestamp=at_ms,
            environment=environment,
            safety=Safety(probe_blocked=blocked),
        )
        yield OutgoingMessage(at_ms, subject.encode(), record.to_json())
