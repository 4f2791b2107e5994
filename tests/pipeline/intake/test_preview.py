"""The preview of messages: values, problems and what is left out, without text that could be a prompt."""

from pipeline.intake import IntakeSettings, preview_messages
from pipeline.step import RawMessage

AT = "2026-11-24T03:12:00.123Z"
SETTINGS = {"map": ["usage.latency=latency_ms:s", "at=timestamp"], "subject": "{app}", "absent": ["length=-1"]}


def preview(*values):
    messages = [RawMessage("llm.requests", 0, offset, 0, None, value) for offset, value in enumerate(values)]
    settings = IntakeSettings.model_validate({"topics": {"llm.requests": SETTINGS}})
    return preview_messages(messages, settings.mapping("llm.requests", ""))


def test_a_preview_shows_values_problems_and_names_what_is_left_out():
    shown = preview(
        b'[{"app":"shop","at":"%s","usage":{"latency":0.5,"total":3},"prompt":"Hello","length":-1}]' % AT.encode(),
        b'{"app":"shop","usage":{"latency":"fast"},"prompt":"Hi"}',
        b"no JSON",
    )
    good, bad, unreadable = shown.objects
    assert good.values == [
        ("usage.latency", "infrastructure.latency_ms", 500.0),
        ("at", "timestamp", AT),
    ]
    assert (good.index, good.problem, shown.record_count) == (0, "", 1)
    assert bad.unusable == [("usage.latency", "infrastructure.latency_ms", "wrong_type", "text of 4 characters")]
    assert "timestamp" in bad.problem
    assert "not JSON" in unreadable.problem
    assert shown.left_out == {
        "prompt": {"text of 5 characters", "text of 2 characters"},
        "usage.total": {"number"},
    }


def test_the_names_of_what_is_left_out_are_limited():
    content = b"{" + b",".join(b'"k%d":1' % number for number in range(1000)) + b"}"
    assert len(preview(content).left_out) == 200
