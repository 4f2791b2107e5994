"""Impact in plain words, by failure mode or family, for a message to users."""

from collections.abc import Mapping

from pipeline.correlate.playbook import FailureMode, Family

_IMPACT_BY_MODE: Mapping[str, str] = {
    "pii_exposure": "may have shown personal data in its answers that should not have been there",
    "filter_disabled": "may have given answers that our safety checks should have stopped",
    "policy_violations": "has given answers that our rules do not allow",
    "jailbreak_wave": "has been the target of many attempts to obtain harmful answers, and some may have succeeded",
    "prompt_injection_wave": "has been the target of many attempts to make it act against its instructions, and some may "
    "have succeeded",
    "filter_over_blocking": "has blocked requests that it should have answered",
    "outage": "has failed to answer some requests",
    "silence": "has not been answering",
    "latency_degradation": "has been slow to answer",
    "throughput_loss": "has not received all requests",
    "empty_output": "has given empty answers",
    "identical_output": "has given many people the same answer, whatever they asked",
    "hallucination_spike": "has given answers with statements that are not true",
    "refusal_spike": "has refused requests that it should have answered",
    "semantic_drift": "has given answers that differ from those it should give",
    "stale_index": "has answered from information that is out of date",
    "stale_features": "has answered from information that is out of date",
    "retrieval_quality": "has answered without finding the information that it should use",
    "unusable_records": "may have had failures that were not noticed",
    "context_window_misuse": "has cut answers short",
    "tool_failures": "has answered without the systems that it should use",
    "agent_loop": "has taken too long for some requests, and may not have completed them",
    "retry_storm": "has been slow to answer",
    "cost_increase": "has cost more to run than it should, while requests may have been answered as usual",
}

_IMPACT_BY_FAMILY: Mapping[Family, str] = {
    "safety": "has not been as safe as it should be",
    "serving": "has been slow or has failed to answer",
    "data": "has answered from information that is incomplete or wrong",
    "output": "has given answers that are worse than they should be",
    "workload": "has not worked as it should",
    "other": "has not worked as it should",
}

_PERSONAL_DATA = (
    "Personal data may be compromised. [Say whose data and which kind, whether anybody saw it who should not have, and "
    "what people should do. If this is not known yet, say so.]"
)
_DECISIONS = (
    "Its answers may have misled or harmed people. [Say which decisions may be compromised and what people should do. "
    "If this is not known yet, say so.]"
)
_UNKNOWN = (
    "[Say whether data or decisions may be compromised: if so, what people should do; if not, how you know. If this is "
    "not known yet, say so.]"
)


def describe_impact(mode: FailureMode) -> str:
    """Describe the impact on users in words that follow the name of the subject, with "may" if it is uncertain.

    >>> from pipeline.correlate.playbook.failure_modes import MODES
    >>> describe_impact(MODES["empty_output"])
    'has given empty answers'
    """
    return _IMPACT_BY_MODE.get(mode.name, _IMPACT_BY_FAMILY[mode.family])


def describe_compromised_data(mode: FailureMode) -> str:
    """Describe the data and decisions that may be compromised, for a draft."""
    if mode.name == "pii_exposure":
        return _PERSONAL_DATA
    return _DECISIONS if mode.family == "safety" or mode.name == "hallucination_spike" else _UNKNOWN
