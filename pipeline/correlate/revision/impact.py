"""Impact in plain words: what users met, for a message to them. One phrase a failure mode, or one for its family."""

from collections.abc import Mapping

from pipeline.correlate.playbook import FailureMode, Family

_MODES: Mapping[str, str] = {
    "pii_exposure": "may have shown personal data in its answers that should not have been there",
    "filter_disabled": "may have given answers that our safety checks should have stopped",
    "policy_violations": "has given answers that our rules do not allow",
    "jailbreak_wave": "has met many attempts to make it give harmful answers, and some may have succeeded",
    "prompt_injection_wave": "has met many attempts to make it act against its instructions, and some may have succeeded",
    "filter_over_blocking": "has turned away requests that it should have answered",
    "outage": "has failed to answer some requests",
    "silence": "has not been answering",
    "latency_degradation": "has been slow to answer",
    "throughput_loss": "has not been reached by all requests",
    "empty_output": "has given empty answers",
    "identical_output": "has given many people the same answer, whatever they asked",
    "hallucination_spike": "has given answers with statements that are not true",
    "refusal_spike": "has refused requests that it should have answered",
    "semantic_drift": "has given answers that differ from those it should give",
    "stale_index": "has answered from information that is out of date",
    "stale_features": "has answered from information that is out of date",
    "retrieval_quality": "has answered without finding the information that it should use",
    "context_window_misuse": "has cut answers short",
}

_FAMILIES: Mapping[Family, str] = {
    "safety": "has not been as safe as it should be",
    "serving": "has been slow or has failed to answer",
    "data": "has answered from information that is incomplete or wrong",
    "output": "has given answers that are worse than they should be",
    "workload": "has not behaved as it should",
    "other": "has not behaved as it should",
}

_DATA = (
    "Personal data may be compromised: [say whose data and of which kind, whether anybody saw it who should not have, "
    "and what people should do; say so if it is not known yet]."
)
_DECISIONS = (
    "Its answers may have misled people or done them harm: [say which decisions may be compromised and what people "
    "should do; say so if it is not known yet]."
)
_OTHERWISE = (
    "Whether data or decisions may be compromised: [say yes and what people should do, or no and how you know; say so if "
    "it is not known yet]."
)


def describe_impact(mode: FailureMode) -> str:
    """What users met, to be said after the name of the subject; careful where it is not certain.

    >>> from pipeline.correlate.playbook.failure_modes import MODES
    >>> impact(MODES["empty_output"])
    'has given empty answers'
    """
    return _MODES.get(mode.name, _FAMILIES[mode.family])


def describe_compromised_data(mode: FailureMode) -> str:
    """What is to be said about data and decisions that may be compromised."""
    if mode.name == "pii_exposure":
        return _DATA
    return _DECISIONS if mode.family == "safety" or mode.name == "hallucination_spike" else _OTHERWISE
