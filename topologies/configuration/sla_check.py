"""Check the signals of SLAs. An SLA for an unknown signal would never apply, and nobody would notice."""

from collections.abc import Iterable

from pipeline.correlate.severity import SLA
from pipeline.detect.signals import catalogue
from pipeline.wording import did_you_mean

CUSTOM_PREFIX = "custom."
"""Prefix of the names of custom signals."""

_NAMES = [signal.name for signal in (*catalogue.SIGNALS, *catalogue.EVENTS)]


def unknown_signals(slas: Iterable[SLA]) -> list[str]:
    """Return one line with the nearest known signal per SLA whose signal is not in the catalogue.

    >>> unknown_signals([SLA(subject="support-bot", signal="latncy_ms", maximum=2000)])
    ['correlate.sla[0].signal: unknown signal "latncy_ms"; did you mean "latency_ms"? A custom signal is named "custom.latncy_ms"']
    """
    return [
        f'correlate.sla[{index}].signal: unknown signal "{sla.signal}"; '
        f'{did_you_mean(sla.signal, _NAMES)} A custom signal is named "{CUSTOM_PREFIX}{sla.signal}"'
        for index, sla in enumerate(slas)
        if sla.signal not in _NAMES and not sla.signal.startswith(CUSTOM_PREFIX)
    ]
