"""Promises about signals that there are: one about another name would never be broken, and nobody would notice."""

from collections.abc import Iterable

from pipeline.correlate.modes import nearest
from pipeline.correlate.rule import Promise
from pipeline.detect.catalogue import EVENTS, SIGNALS

OWN = "custom."
"""What the name of a signal of one's own begins with."""

_NAMES = [signal.name for signal in (*SIGNALS, *EVENTS)]


def unknown_signals(promises: Iterable[Promise]) -> list[str]:
    """A line for each promise whose signal is not in the catalogue, with the nearest that is.

    >>> unknown_signals([Promise(subject="support-bot", signal="latncy_ms", maximum=2000)])
    ['correlate.sla[0].signal: no signal is called "latncy_ms"; did you mean "latency_ms"? One of your own is "custom.latncy_ms"']
    """
    return [
        f'correlate.sla[{place}].signal: no signal is called "{promise.signal}"; did you mean '
        f'"{nearest(promise.signal, _NAMES)}"? One of your own is "{OWN}{promise.signal}"'
        for place, promise in enumerate(promises)
        if promise.signal not in _NAMES and not promise.signal.startswith(OWN)
    ]
