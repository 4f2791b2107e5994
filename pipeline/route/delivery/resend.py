"""Re-sends of open incidents to receivers that forget them, such as an Alertmanager that restarts.

A re-send is not a notification. Nobody is notified by it, so it is not recorded, silences do not stop it, and it does
not count as a repeat. Its only purpose is to remind the receiver which incidents are open. The times of the re-sends
are not part of the state: after a restart, everything is re-sent at once.

Source: Prometheus, which re-sends each firing alert to Alertmanager.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.decoding import Unreadable, decode_contract
from pipeline.route.receiver_settings import ReceiverSettings
from pipeline.step import InputMessage
from schemas.incident import Incident
from schemas.topics import MEBIBYTE


@dataclass(frozen=True, slots=True)
class Resend:
    """The open incidents that a receiver knows.

    Attributes
    ----------
    receiver
        Name of the receiver.
    alerts
        The newest alert of each incident, and the ``Delivery.reference`` that the receiver returned for the incident.
    """

    receiver: str
    alerts: tuple[tuple[InputMessage, str], ...]

    def batches(self, size: int) -> Iterator[list[tuple[Incident, str]]]:
        """Yield the newest revisions with their references, at most ``size`` at a time. Each batch is decoded when it is due."""
        for start in range(0, len(self.alerts), size):
            yield [
                (incident, reference)
                for alert, reference in self.alerts[start : start + size]
                if not isinstance(incident := _decode(alert), Unreadable)
            ]


class ResendClock:
    """The time of the next re-send to each receiver that needs re-sends.

    >>> receivers = [ReceiverSettings(name="am", alertmanager={"urls": ["http://am:9093"], "resend_interval_s": 60})]
    >>> clock = ResendClock(receivers)
    >>> clock.advance(1_000_000), clock.advance(1_059_999), clock.advance(1_060_000)
    (['am'], [], ['am'])
    """

    def __init__(self, receivers: Iterable[ReceiverSettings]) -> None:
        self._intervals_ms = {
            receiver.name: round(receiver.resend_interval_s * 1000)
            for receiver in receivers
            if receiver.resend_interval_s is not None
        }
        self._next_at = dict.fromkeys(self._intervals_ms, 0)

    def advance(self, now: int) -> list[str]:
        """Return the receivers whose re-send is due at a time (Unix ms), and schedule the next one an interval later.

        If the clock has gone back, the re-send is due at once.
        """
        due = [
            receiver
            for receiver, interval_ms in self._intervals_ms.items()
            if not now < self._next_at[receiver] <= now + interval_ms
        ]
        self._next_at |= {receiver: now + self._intervals_ms[receiver] for receiver in due}
        return due


def _decode(alert: InputMessage) -> Incident | Unreadable:
    return decode_contract(alert.value, Incident.model_validate, "incident", bytes_max=MEBIBYTE)
