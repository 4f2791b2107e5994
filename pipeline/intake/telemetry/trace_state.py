"""The probability with which a trace was kept, from the W3C trace state."""

import re

_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
_DIGITS = 14
_THRESHOLD_MAX = 2**56


def read_sampling_probability(trace_state: str) -> float | None:
    """Return the sampling probability that a trace state names; None if it names none.

    The entry ``ot=th:T`` has the rejection threshold as up to 14 hexadecimal digits; missing digits are zeros. The
    probability is 1 - threshold / 2**56.

    References
    ----------
    OpenTelemetry specification, TraceState Probability Sampling.

    >>> read_sampling_probability("congo=t61,ot=th:c;rv:0123456789abcd")
    0.25
    """
    if "th:" not in trace_state:
        return None
    for member in trace_state.split(","):
        name, _, fields = member.strip().partition("=")
        if name == "ot":
            for field in fields.split(";"):
                key, _, digits = field.partition(":")
                if key == "th" and _THRESHOLD.fullmatch(digits):
                    threshold = int(digits.ljust(_DIGITS, "0"), 16)
                    return 1 - threshold / _THRESHOLD_MAX
    return None
