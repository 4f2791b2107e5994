"""Malformed requests: nothing but WebhookRefused is raised, and its message contains no text of the payload."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.webhooks import PAYLOAD_BYTES_MAX, WebhookRefused, WebhookResult, read_webhook
from tests.pipeline.webhooks.requests import FILES, NOW, SECRET, payload, send, settings, sign

KINDS = sorted(FILES)
MARK = "MARKED-TEXT"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def read(kind, body, **keys):
    try:
        return read_webhook(settings(kind, **keys), [SECRET], sign(kind, body), body, NOW)
    except WebhookRefused as refused:
        result = refused
    assert result.status in (400, 413)
    assert MARK not in result.message
    return result


def paths(content, path=()):
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def replaced(content, path, value):
    if not path:
        return value
    copy = content.copy()
    copy[path[0]] = replaced(content[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@hypothesis_settings(max_examples=60)
def test_any_body_is_refused_or_ignored(kind, body):
    result = read(kind, body)
    assert isinstance(result, (WebhookRefused, WebhookResult))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@hypothesis_settings(max_examples=150)
def test_a_payload_with_any_value_in_any_place_is_read_or_refused(kind, data):
    content = payload(kind)
    path = data.draw(st.sampled_from(list(paths(content))))
    value = data.draw(JSON | st.just(MARK) | st.just([MARK]) | st.just({MARK: MARK}))
    result = read(kind, json.dumps(replaced(content, path, value)).encode())
    assert isinstance(result, (WebhookRefused, WebhookResult))


@pytest.mark.parametrize("kind", KINDS)
def test_deep_nesting_is_refused(kind):
    assert isinstance(read(kind, b'{"a":' * 100_000 + b"1" + b"}" * 100_000), WebhookRefused)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [400, 600, 900])
def test_deep_nesting_with_half_a_character_is_refused(kind, depth):
    body = b'{"a": "\\ud800", "b": ' + b"[" * depth + b"]" * depth + b"}"
    assert isinstance(read(kind, body), (WebhookRefused, WebhookResult))


def test_a_body_over_the_limit_is_refused():
    refused = read("github", b" " * (PAYLOAD_BYTES_MAX + 1))
    assert refused.status == 413


def test_a_form_is_refused_with_what_to_do():
    refused = read("github", b"payload=%7B%7D")
    assert "let the publisher send application/json" in refused.message


def test_a_change_far_ahead_of_its_arrival_is_refused():
    with pytest.raises(WebhookRefused, match="the time of the change is more than 300 s after"):
        send("launchdarkly", now_ms=NOW - 3_600_000)


@pytest.mark.parametrize(
    ("constants", "problem"),
    [
        ({"expect_shift": "lenght"}, 'expect_shift: unknown signal "lenght"; did you mean "length"'),
        ({"rollback_of": "812"}, 'rollback_of is the id of the deployment itself: "812"'),
        ({"from_version": "v42"}, 'from_version and to_version are the same: "v42"'),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(constants, problem):
    with pytest.raises(WebhookRefused, match=problem):
        send("generic", constants={"kind": "code", **constants})
