"""The payloads of litellm that no local run produces: from the proxy, from earlier versions, and damaged ones."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from driftwire_client.litellm_payload import SubjectTemplate, reached_model, read_payload

PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "status": "success",
    "custom_llm_provider": "openai",
    "model": "openai/gpt-4o-mini",
    "model_group": "chat",
    "startTime": 1795489200.0,
    "endTime": 1795489201.912,
    "metadata": {"user_api_key_team_alias": "search", "requester_metadata": {"feature": "answers", "nothing": None}},
    "response": {"model": "chat", "choices": [{"finish_reason": "stop", "message": {"content": "text"}}]},
}


def guarded(*states: str, status: str = "success") -> dict[str, Any]:
    return PAYLOAD | {
        "status": status,
        "guardrail_information": [{"guardrail_status": state} for state in states],
    }


@pytest.mark.parametrize(
    ("rule", "subject"),
    [
        ("{model_group}", "chat"),
        ("{model}", "openai/gpt-4o-mini"),
        ("{team_alias}-{metadata.feature}", "search-answers"),
        ("{metadata.tier}", "3"),
        ("everything", "everything"),
        ("{metadata.nothing}", None),
        ("{key_alias}", None),
    ],
)
def test_a_subject_is_built_by_a_rule(rule: str, subject: str | None) -> None:
    assert SubjectTemplate(rule).build(PAYLOAD, {"tier": 3}) == subject


def test_without_a_model_group_the_subject_is_the_model() -> None:
    assert SubjectTemplate("{model_group}").build(PAYLOAD | {"model_group": ""}, {}) == "openai/gpt-4o-mini"


@pytest.mark.parametrize("rule", ["", "{model_group", "model}", "{}", "{user}", "{metadata.}", "{metadata}"])
def test_a_wrong_rule_is_an_error(rule: str) -> None:
    with pytest.raises(ValueError, match="the subject rule"):
        SubjectTemplate(rule)


def test_a_cached_answer_is_a_segment() -> None:
    fields = read_payload(PAYLOAD | {"cache_hit": True, "response_cost": 0.0}, {})
    assert fields["segment"] == {"cache_hit": True}
    assert fields["cost"] is None


def test_the_model_group_of_the_proxy_is_not_the_model_of_the_provider() -> None:
    assert read_payload(PAYLOAD, {})["provider_model"] is None
    hidden = {"hidden_params": {"provider_response_model": "gpt-4o-mini-2026"}}
    assert read_payload(PAYLOAD, hidden)["provider_model"] == "gpt-4o-mini-2026"


def test_retries_are_read_from_the_headers_if_the_metadata_has_none() -> None:
    headers = {"x-litellm-attempted-retries": 2, "x-litellm-attempted-fallbacks": 1}
    payload = PAYLOAD | {"hidden_params": {"additional_headers": headers}}
    assert read_payload(payload, {})["retries"] == 3
    assert read_payload(payload, {"attempted_retries": 1, "attempted_fallbacks": 0})["retries"] == 1


def test_a_prompt_of_the_prompt_management_is_a_version() -> None:
    management = {
        "prompt_id": "greeting.v2",
        "prompt_variables": {"name": "private"},
        "prompt_integration": "dotprompt",
    }
    payload = PAYLOAD | {"metadata": {"prompt_management_metadata": management}}
    assert read_payload(payload, {})["versions"] == {"model": "openai/gpt-4o-mini", "prompt": "greeting.v2"}
    assert read_payload(payload, {"prompt_version": 3})["versions"]["prompt"] == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("payload", "triggered", "skipped"),
    [
        (guarded("blocked"), True, False),
        (guarded("failure"), None, True),
        (guarded("guardrail_flagged"), False, False),
        (guarded("success", "guardrail_failed_to_respond"), None, True),
        (guarded("guardrail_failed_to_respond", status="failure"), None, None),
        (guarded("guardrail_intervened", status="failure"), True, None),
        (guarded(), None, None),
        (guarded("a new state"), None, None),
        (PAYLOAD | {"guardrail_information": {"guardrail_status": "success"}}, False, False),
    ],
)
def test_states_of_guardrails(payload: dict[str, Any], triggered: bool | None, skipped: bool | None) -> None:
    fields = read_payload(payload, {})
    assert (fields.get("filter_triggered"), fields.get("filter_skipped")) == (triggered, skipped)


def test_a_text_completion_has_a_length() -> None:
    response = {"choices": [{"finish_reason": "length", "text": "four"}]}
    fields = read_payload(PAYLOAD | {"response": response}, {})
    assert (fields["length"], fields["finish_reason"], fields["empty"]) == (4, "length", False)


def test_a_request_that_reached_no_model_is_not_reported() -> None:
    rejected = PAYLOAD | {"status": "failure", "custom_llm_provider": None, "guardrail_information": None}
    assert not reached_model(rejected)
    assert reached_model(rejected | {"guardrail_information": [{"guardrail_status": "guardrail_intervened"}]})


@pytest.mark.parametrize("value", [None, "text", 7, [], [None], [[1]], {}, True])
@pytest.mark.parametrize(
    "name",
    [
        *PAYLOAD,
        *(
            "hidden_params",
            "guardrail_information",
            "error_information",
            "model_map_information",
            "cache_hit",
            "stream",
        ),
    ],
)
def test_an_unexpected_value_is_absent(name: str, value: object) -> None:
    read_payload(PAYLOAD | {"stream": True, name: value}, {"hidden_params": value, "attempted_retries": value})
    SubjectTemplate("{model_group}{team_alias}{metadata.feature}").build(PAYLOAD | {name: value}, {})


def test_without_litellm_the_error_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import driftwire_client, driftwire_client.litellm_callback"],
        cwd=Path(__file__).parents[2] / "client",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: driftwire_client.litellm_callback needs litellm, which could not be imported"
    )
