"""Check the signals of SLAs. An SLA for an unknown signal would never apply, and nobody would notice."""

from collections.abc import Iterable

from pipeline.correlate.severity import SLA
from pipeline.deployment_check import describe_unknown_signal, is_signal


def unknown_signals(slas: Iterable[SLA]) -> list[str]:
    """Return one line with the nearest known signal per SLA whose signal is not in the catalogue.

    >>> unknown_signals([SLA(subject="support-bot", signal="latncy_ms", maximum=2000)])
    ['correlate.sla[0].signal: unknown signal "latncy_ms"; did you mean "latency_ms"? A custom signal is named "custom.latncy_ms"']
    """
    return [
        f"correlate.sla[{index}].signal: {describe_unknown_signal(sla.signal)}"
        for index, sla in enumerate(slas)
        if not is_signal(sla.signal)
    ]
