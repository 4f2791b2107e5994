"""Reads the standard logging payload of litellm as the fields of a record. Texts of requests and answers are not read.

https://docs.litellm.ai/docs/proxy/logging_spec (2026) describes the payload.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftwire_client.fields import RecordFields

SUBJECT_SOURCES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "model_group": (("model_group",), ("model",)),
    "model": (("model",),),
    "team_alias": (("metadata", "user_api_key_team_alias"), ("metadata", "team_alias")),
    "key_alias": (("metadata", "user_api_key_alias"),),
}
"""Paths in the payload of the names that a subject rule can use. The first value that is present is used."""

METADATA_PREFIX = "metadata."
"""Begins the name of a key of the request's own metadata in a subject rule."""

REDACTED = "redacted-by-litellm"
"""Text that litellm puts in the place of answers if the logging of messages is turned off."""

GUARDRAIL_RAN = frozenset({"success", "guardrail_flagged"})
GUARDRAIL_INTERVENED = frozenset({"guardrail_intervened", "blocked"})
GUARDRAIL_FAILED = frozenset({"guardrail_failed_to_respond", "failure"})
GUARDRAIL_SKIPPED = GUARDRAIL_FAILED | {"not_run"}
"""States of a guardrail, with the names of earlier versions of litellm."""

_BRACES = re.compile(r"\{([^{}]*)\}")


class SubjectTemplate:
    """A rule for the subject of a request, such as ``{team_alias}-{metadata.feature}``.

    Raises
    ------
    ValueError
        If the rule is empty, a brace is not closed, or a name in braces is unknown.

    >>> SubjectTemplate("{model_group}-eu").build({"model_group": "chat"}, {})
    'chat-eu'
    """

    def __init__(self, text: str) -> None:
        self._names = _BRACES.findall(text)
        self._fixed = _BRACES.split(text)[::2]
        if not text or any("{" in part or "}" in part for part in self._fixed):
            raise ValueError(f"the subject rule must have each name in braces, as in {{model_group}}, not {text!r}")
        for name in self._names:
            if name not in SUBJECT_SOURCES and not re.fullmatch(f"{re.escape(METADATA_PREFIX)}.+", name):
                known = ", ".join((*SUBJECT_SOURCES, METADATA_PREFIX + "KEY"))
                raise ValueError(f"the subject rule cannot use {{{name}}}: use {known}")

    def build(self, payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
        """Return the subject, or None if a value is absent, or is neither text nor a whole number."""
        subject = self._fixed[0]
        for name, fixed in zip(self._names, self._fixed[1:], strict=True):
            value = _find_label(payload, metadata, name)
            if value is None:
                return None
            subject += f"{value}{fixed}"
        return subject


def reached_model(payload: Mapping[str, Any]) -> bool:
    """Return whether a provider or a guardrail was called. The proxy also reports requests that it rejects before that.

    >>> reached_model({"status": "failure", "model": "a name that no model has", "custom_llm_provider": None})
    False
    """
    return bool(payload.get("custom_llm_provider") or payload.get("guardrail_information"))


def read_payload(payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> RecordFields:
    """Return the fields of the record of one call of a model, without the subject.

    Parameters
    ----------
    payload
        The standard logging payload of the call.
    metadata
        The metadata that litellm itself works with, in which its router counts retries and fallbacks, and in which a
        caller in Python puts keys of its own.
    """
    is_success = payload.get("status") == "success"
    start_s, end_s = _number(payload.get("startTime")), _number(payload.get("endTime"))
    fields: RecordFields = {
        "request_id": payload.get("id"),
        "timestamp": end_s,
        "provider": _text(payload.get("custom_llm_provider")),
        "provider_model": _read_provider_model(payload, metadata),
        "latency_ms": _milliseconds(start_s, end_s),
        "error": not is_success,
        "error_type": _text(_find(payload, "error_information", "error_class")),
        # litellm writes 0 for what it does not know: the tokens of a failed call, the price of an unknown model.
        "input_tokens": _number(payload.get("prompt_tokens")) or None,
        "output_tokens": _number(payload.get("completion_tokens")) or None,
        "cost": _number(payload.get("response_cost")) or None,
        "retries": _read_retries(payload, metadata),
        "context_fraction": _read_context_fraction(payload),
        "versions": _read_versions(payload, metadata),
        "segment": {"cache_hit": payload.get("cache_hit") is True},
    }
    if payload.get("stream") is True:
        fields["time_to_first_token_ms"] = _milliseconds(start_s, _number(payload.get("completionStartTime")))
    _read_guardrails(payload, fields)
    if is_success:
        _read_response(payload.get("response"), fields)
    return fields


def _read_response(response: Any, fields: RecordFields) -> None:
    """Read the answer of a chat or text completion. Other responses, such as embeddings, have none."""
    choices = _find(response, "choices")
    if not isinstance(choices, list) or not choices:
        return
    message = _find(choices[0], "message")
    text = _find(message, "content") if isinstance(message, Mapping) else _find(choices[0], "text")
    tool_calls = _find(message, "tool_calls")
    finish_reason = _text(_find(choices[0], "finish_reason"))
    fields["finish_reason"] = finish_reason
    fields["tool_calls"] = len(tool_calls) if isinstance(tool_calls, list) else 0
    if text == REDACTED:
        return
    fields["length"] = len(text) if isinstance(text, str) and text else None
    fields["empty"] = not text and not tool_calls
    fields["refused"] = finish_reason == "content_filter" or bool(_find(message, "refusal"))


def _read_guardrails(payload: Mapping[str, Any], fields: RecordFields) -> None:
    """Read the states of the guardrails that were to check the request. Without any, nothing is known of a filter."""
    guardrails = payload.get("guardrail_information")
    states = {_find(guardrail, "guardrail_status") for guardrail in _list(guardrails)}
    if states & GUARDRAIL_INTERVENED:
        fields["filter_triggered"] = True
    elif states & GUARDRAIL_RAN and not states & GUARDRAIL_FAILED:
        fields["filter_triggered"] = False
    # A request that failed was not let through, whatever the guardrails did.
    if payload.get("status") == "success" and states & (GUARDRAIL_INTERVENED | GUARDRAIL_RAN | GUARDRAIL_SKIPPED):
        fields["filter_skipped"] = bool(states & GUARDRAIL_SKIPPED)


def _read_provider_model(payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return the model that the provider reports. The proxy puts the model group in its place in the response."""
    model = _text(_find(metadata, "hidden_params", "provider_response_model"))
    reported = _text(_find(payload, "response", "model"))
    return model or (None if reported == payload.get("model_group") else reported)


def _read_retries(payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> float | None:
    """Return the retries and fallbacks before this call. Calls without the router of litellm have none to count."""
    headers = _find(payload, "hidden_params", "additional_headers")
    counts = [
        _number(_find(metadata, name) if name in metadata else _find(headers, header))
        for name, header in (
            ("attempted_retries", "x-litellm-attempted-retries"),
            ("attempted_fallbacks", "x-litellm-attempted-fallbacks"),
        )
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _read_context_fraction(payload: Mapping[str, Any]) -> float | None:
    window = _number(_find(payload, "model_map_information", "model_map_value", "max_input_tokens"))
    tokens = _number(payload.get("prompt_tokens"))
    return min(tokens / window, 1.0) if window and tokens else None


def _read_versions(payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str | int | bool]:
    prompt = _find_label(payload, metadata, METADATA_PREFIX + "prompt_version")
    if prompt is None:
        prompt = _label(_find(payload, "metadata", "prompt_management_metadata", "prompt_id"))
    versions = {"model": _text(payload.get("model")), "prompt": prompt}
    return {name: version for name, version in versions.items() if version is not None}


def _find_label(payload: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> str | int | None:
    """Return the value of a name of a subject rule. Callers of the proxy and callers in Python put metadata elsewhere."""
    key = name.removeprefix(METADATA_PREFIX)
    values: Iterator[Any]
    if key == name:
        values = (_find(payload, *path) for path in SUBJECT_SOURCES[name])
    else:
        own = _find(payload, "metadata")
        values = iter(
            (_find(own, "requester_metadata", key), _find(own, "spend_logs_metadata", key), metadata.get(key))
        )
    return next((label for value in values if (label := _label(value)) is not None), None)


def _find(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _label(value: Any) -> str | int | None:
    return None if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "" else value


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _milliseconds(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else max(0.0, round((end_s - start_s) * 1000, 3))
