"""Numbers, times and signals in words: what the titles, summaries and reasons are made of."""

from pipeline.wording import duration, quantity
from schemas.drift import Drift

_PHRASES: dict[str, tuple[str, str, str]] = {
    "refused": ("refuses", "refused", "{} of requests"),
    "empty": ("answers", "answered", "{} of requests with nothing"),
    "error": ("fails", "failed", "{} of requests"),
    "hallucinated": ("hallucinates in", "hallucinated in", "{} of answers"),
    "thumbs_down": ("gets", "got", "{} thumbs down"),
    "corrected": ("is", "was", "corrected by users in {} of answers"),
    "clicked": ("is", "was", "clicked in {} of answers"),
    "converted": ("converts", "converted", "{} of requests"),
    "index_age_s": ("answers from", "answered from", "an index {} old"),
    "feature_age_s": ("answers from", "answered from", "features {} old"),
    "schema_valid": ("gets", "got", "{} of inputs in the right schema"),
    "latency_ms": ("takes", "took", "{} to answer"),
    "time_to_first_token_ms": ("takes", "took", "{} to begin an answer"),
    "pii_detected": ("shows", "showed", "personal data in {} of outputs"),
    "policy_violation": ("breaks", "broke", "policy in {} of outputs"),
    "jailbreak_suspected": ("meets", "met", "jailbreak attempts in {} of requests"),
    "filter_triggered": ("sets off", "set off", "its safety filter in {} of requests"),
    "repeated": ("repeats", "repeated", "itself in {} of answers"),
    "finish_reason_usual": ("ends", "ended", "{} of answers as usual"),
    "throughput_ratio": ("gets", "got", "{} times the requests of just before"),
    "probe_blocked": ("blocks", "blocked", "{} of the known-bad probes"),
}
"""For a signal of one meaning: the verb now, the verb of the past, the rest with the number."""

_CHANNELS = {"high_tail": "high values", "low_tail": "low values", "dispersion": "spread"}
_FAR = 1.5
"""Times: a value this far from normal, either way, is told as the value that it is."""


def describe_distance(at: int, started_at: int) -> str:
    """How far from a start something was, both in Unix ms.

    >>> distance(1795489900123, 1795489920123), distance(1795489920500, 1795489920123)
    ('20 s before the start', 'at the start')
    """
    seconds = (started_at - at) / 1000
    if round(seconds) == 0:
        return "at the start"
    return f"{duration(seconds)} {'before' if seconds > 0 else 'after'} the start"


def describe_drift(drift: Drift, *, past: bool = False) -> str:
    """What a drift says of its subject: a verb and a number, without the subject.

    The number is the one that the drift gives; ``past`` puts it into the past. A drift of the high values, the low ones
    or the spread is named so, unless the usual value itself has moved by half.
    """
    if drift.channel == "silence":
        return f"{'sent' if past else 'sends'} no records"
    if drift.channel == "first_seen":
        return f"{'was' if past else 'is'} served by {drift.segment.replace('=', ' ', 1)}, never seen before"
    now = quantity(drift.now, drift.unit, drift.channel)
    normal = quantity(drift.normal, drift.unit, drift.channel)
    where = f" ({drift.segment})" if drift.segment else ""
    phrase = _PHRASES.get(drift.signal)
    if phrase is not None and (drift.channel in ("rate", "location") or _far(drift)):
        verb, rest = phrase[past], phrase[2].format(now)
        return f"{verb} {rest}{where}, normally {normal}"
    aspect = _CHANNELS.get(drift.channel)
    measure = drift.signal if aspect is None else f"the {aspect} of {drift.signal}"
    return f"{'had' if past else 'has'} {measure} {drift.side}{where}: {now}, normally {normal}"


def _far(drift: Drift) -> bool:
    low, high = sorted((abs(drift.now), abs(drift.normal)))
    return high >= _FAR * low
