"""Measurements of what is owed to receivers."""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.route.notices import Notices
from pipeline.route.notification_log import NotificationLog
from pipeline.step import Measurement


def measure_owed(log: NotificationLog, notices: Notices, receivers: Iterable[str], now: int) -> Iterator[Measurement]:
    """Yield the number of notifications that are owed to each receiver, and the age of the oldest.

    Parameters
    ----------
    log, notices
        What is owed: notifications of incidents, and notices.
    receivers
        The receivers of the settings.
    now
        The clock of the step in Unix ms.
    """
    since: dict[str, list[int]] = {receiver: [] for receiver in receivers}
    owed_of_incidents = (notified.owed for _, notified in log.incidents())
    for owed_by_receiver in chain(owed_of_incidents, notices.all_owed()):
        for receiver, owed in owed_by_receiver.items():
            if receiver in since:
                since[receiver].append(owed.since)
    for receiver, times in since.items():
        age_s = max(0, now - min(times, default=now)) / 1000
        yield Measurement("driftwire_owed_notifications", len(times), (receiver,))
        yield Measurement("driftwire_owed_notification_age_seconds", age_s, (receiver,))
