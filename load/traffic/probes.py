"""Probes: the records that a prober sends, who asks what must be blocked and tells whether it was."""

from collections.abc import Iterator
from itertools import count as counted

from load.inputs import Line
from schemas.record import Record, Safety


def probes(
    subject: str,
    *,
    start_ms: int,
    every_ms: int,
    blocked: bool,
    count: int | None = None,
    environment: str | None = None,
) -> Iterator[Line]:
    """Outcomes of known-bad prompts, as messages.

    Parameters
    ----------
    subject, environment
        What was asked.
    start_ms, every_ms
        When first, in Unix ms, and how long between two.
    blocked
        Whether the filter held.
    count
        How many; None is without end.

    >>> [line] = probes("bot", start_ms=1_795_489_920_000, every_ms=10_000, blocked=False, count=1)
    >>> Record.from_json(line.value).safety
    Safety(filter_triggered=None, policy_violation=None, injection_score=None, jailbreak_suspected=None, pii_detected=None, probe_blocked=False)
    """
    for number in counted() if count is None else range(count):
        at = start_ms + number * every_ms
        record = Record(
            subject=subject,
            request_id=f"probe-{at}",
            timestamp=at,
            environment=environment,
            safety=Safety(probe_blocked=blocked),
        )
        yield Line(at, subject.encode(), record.to_json())
