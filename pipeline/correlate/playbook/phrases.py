"""Phrases that describe drifts, causes, containment steps and times, in titles, summaries, reasons and log lines."""

from collections.abc import Callable, Sequence

from pipeline.wording import duration, fault_phrase, normal_phrase, quantity, value_range
from schemas.drift import Drift
from schemas.incident import Containment, Suspect
from schemas.timestamp import clock_time

_PHRASES: dict[str, tuple[str, str, str]] = {
    "refused": ("refuses", "refused", "{} of requests"),
    "empty": ("returns", "returned", "empty answers to {} of requests"),
    "error": ("fails", "failed", "{} of requests"),
    "hallucinated": ("hallucinates in", "hallucinated in", "{} of answers"),
    "thumbs_down": ("gets", "got", "thumbs down for {} of answers"),
    "corrected": ("gets", "got", "user corrections for {} of answers"),
    "clicked": ("gets", "got", "clicks on {} of answers"),
    "converted": ("converts", "converted", "{} of requests"),
    "index_age_s": ("answers from", "answered from", "an index {} old"),
    "feature_age_s": ("answers from", "answered from", "features {} old"),
    "schema_valid": ("gets", "got", "{} of inputs in the correct schema"),
    "latency_ms": ("takes", "took", "{} to answer"),
    "time_to_first_token_ms": ("takes", "took", "{} to begin an answer"),
    "pii_detected": ("shows", "showed", "personal data in {} of outputs"),
    "policy_violation": ("violates", "violated", "policy in {} of outputs"),
    "jailbreak_suspected": ("receives", "received", "jailbreak attempts in {} of requests"),
    "filter_triggered": ("triggers", "triggered", "its safety filter in {} of requests"),
    "filter_skipped": ("serves", "served", "{} of requests without the check of its safety filter"),
    "repeated": ("repeats", "repeated", "itself in {} of answers"),
    "finish_reason_usual": ("ends", "ended", "{} of answers with a usual finish reason"),
    "throughput_ratio": ("receives", "received", "{} times as many requests as shortly before"),
    "request_rate": ("receives", "received", "{}"),
    "duplicates": ("sends", "sent", "{} of records more than once"),
    "unusable_field": ("sends", "sent", "{} of values in an unusable form"),
    "dead_letters": ("sends", "sent", "{} of records that cannot be used"),
    "cost": ("costs", "cost", "{} per request in the currency of its records"),
    "spend_ratio": ("spends", "spent", "{} times as much as in the hour before, or as usual at this time"),
    "retried": ("repeats", "repeated", "calls to the model in {} of requests"),
    "retries": ("makes", "made", "{} per request"),
    "tool_error": ("gets", "got", "errors from tools in {} of requests"),
    "tool_calls": ("makes", "made", "{} to tools per request"),
    "steps": ("takes", "took", "{} per request"),
    "context_fraction": ("uses", "used", "{} of its context window"),
    "probe_blocked": ("blocks", "blocked", "{} of the known-bad probes"),
}
"""For each signal: the verb in the present and past tense, and the phrase that contains the number."""

_ASPECTS = {"high_tail": "high values of ", "low_tail": "low values of ", "dispersion": "spread of "}
_FAR_FACTOR = 1.5
"""Minimum factor between the current and the normal value at which a drift of a tail or of the spread is described by
its value alone."""


_STEPS = {
    "rollback": "roll back {}",
    "kill_switch": "switch off {}",
    "throttle": "throttle {}",
    "filter": "filter {}",
    "investigate": "investigate with {}",
}


def describe_step(step: Containment) -> str:
    """Describe a containment step as an instruction, such as ``roll back prompt to v41``."""
    return _STEPS[step.action].format(step.target)


def describe_cause(
    clear: Suspect | None, suspects: Sequence[Suspect], started_at: int, show: Callable[[int], str] = clock_time
) -> str:
    """Describe the most likely cause of an incident, or the nearest deployment if no suspect is clear.

    Parameters
    ----------
    clear
        The suspect that is clear enough to be named as the cause, or None.
    suspects
        All suspects.
    started_at
        Start of the incident (Unix ms).
    show
        Format of a time in Unix ms.
    """
    if clear is not None and clear.deployment_id is not None and clear.at is not None:
        return f"{clear.name}, deployed {show(clear.at)}, {describe_distance(clear.at, started_at)}"
    if clear is not None:
        return f"{clear.name} ({clear.kind.replace('_', ' ')}); no deployment explains it"
    nearest = next((suspect for suspect in suspects if suspect.deployment_id is not None), None)
    if nearest is None or nearest.at is None:
        return "no deployment explains it"
    distance = describe_distance(nearest.at, started_at)
    return f"no deployment clearly explains it; the nearest is {nearest.name}, {distance}"


def describe_distance(at: int, started_at: int) -> str:
    """Describe the distance of a time from a start, both in Unix ms.

    >>> describe_distance(1795489900123, 1795489920123), describe_distance(1795489920500, 1795489920123)
    ('20 s before the start', 'at the start')
    """
    seconds = (started_at - at) / 1000
    if round(seconds) == 0:
        return "at the start"
    return f"{duration(seconds)} {'before' if seconds > 0 else 'after'} the start"


def describe_measurement(drift: Drift, show: Callable[[int], str] = clock_time) -> str:
    """Describe when the current value of a drift was measured: at its detection, or at the time of a later report.

    ``show`` formats a time in Unix ms.
    """
    return "at detection" if drift.updated_at <= drift.detected_at else f"at {show(drift.updated_at)}"


def describe_drift(drift: Drift, *, past: bool = False, measured: str = "") -> str:
    """Describe a drift of a subject: a verb and the drift's numbers, without the subject.

    ``past`` selects the past tense. ``measured`` is the time of the current value, such as ``at detection``. For a drift
    of the high values, of the low values or of the spread, the phrase names that aspect, unless the current value and the
    normal value differ by a factor of at least 1.5.
    """
    if drift.channel == "silence":
        return f"{'sent' if past else 'sends'} no records"
    if drift.channel == "first_seen":
        return f"{'was' if past else 'is'} served by {drift.segment.replace('=', ' ', 1)} for the first time"
    now, when = quantity(drift.now, drift.unit, drift.channel), f" {measured}" if measured else ""
    normal = normal_phrase(drift.normal, drift.unit, drift.channel)
    segment = f" ({drift.segment})" if drift.segment else ""
    if drift.fault:
        field = drift.segment.removeprefix("field=")
        verb = "sent" if past else "sends"
        return f"{verb} {now} of records in which {field} {fault_phrase(drift.fault)}{when}, {normal}"
    if drift.channel == "shape":
        values = f"{drift.signal} {value_range(drift.values_from, drift.values_to, drift.unit)}"
        return f"{'had' if past else 'has'} {values}{segment} in {now} of records{when}, {normal}"
    if drift.channel.startswith("limit_"):
        statistic = "" if drift.channel == "limit_rate" else f"a {drift.channel.removeprefix('limit_')} of "
        where = "above" if drift.side == "up" else "below"
        return f"{'showed' if past else 'shows'} {statistic}{drift.signal} {where} its limit: {now}{when}, {normal}"
    phrase = _PHRASES.get(drift.signal)
    if phrase is not None and (drift.channel in ("rate", "location", "overdue") or _is_far(drift)):
        present_verb, past_verb, rest = phrase
        return f"{past_verb if past else present_verb} {rest.format(now)}{segment}{when}, {normal}"
    verb, change = "showed" if past else "shows", "a rise" if drift.side == "up" else "a fall"
    if drift.effect_kind == "odds_ratio" and drift.now == drift.normal:
        # The typical value of a tail can be normal, such as the number of steps if few requests loop.
        aspect = f"{_ASPECTS.get(drift.channel, '')}{drift.signal}{segment}"
        return f"{verb} {change} in {aspect}: {drift.effect:.3g} times the normal odds{when}, typically still {now}"
    return f"{verb} {change} in {_ASPECTS.get(drift.channel, '')}{drift.signal}{segment}: {now}{when}, {normal}"


def _is_far(drift: Drift) -> bool:
    low, high = sorted((abs(drift.now), abs(drift.normal)))
    return high >= _FAR_FACTOR * low
