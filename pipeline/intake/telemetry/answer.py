"""What the content of an answer says, as numbers and booleans. Its text is not copied."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.intake.telemetry.conventions import REFUSAL_REASONS

REDACTED = "__REDACTED__"
"""What OpenInference writes in place of text that it hides (openinference-instrumentation 0.1.72, config.py)."""

_REFUSALS = frozenset(reason.value for reason in REFUSAL_REASONS)
_OPENINFERENCE_PREFIX = "llm.output_messages."
_FORMS = (
    (
        _OPENINFERENCE_PREFIX,
        re.compile(
            r"llm\.output_messages\.\d+\.message\.(?:(?P<text>content|contents\.\d+\.message_content\.text)"
            r"|contents\.\d+\.message_content\.(?P<type>type)|(?P<call>tool_calls\.\d+)\..*|role)",
            re.ASCII,
        ),
    ),
    (
        "gen_ai.completion.",
        re.compile(
            r"gen_ai\.completion\.\d+\.(?:(?P<text>content)|(?P<type>type)|(?P<call>tool_calls\.\d+)\..*)", re.ASCII
        ),
    ),
)
"""Beginnings and forms of the names of attributes that are parts of an answer."""


@dataclass(slots=True)
class Answer:
    """The content of an answer, as far as a span or an event contains it.

    Attributes
    ----------
    text_length, visible_length
        Number of characters, and of characters without whitespace at both ends of each part; None if the text is
        unknown.
    tool_calls
        Number of tool calls; None if unknown.
    is_other
        Whether it has other content, such as an image.
    is_refusal
        Whether a part of it is marked as a refusal.
    is_hidden
        Whether a part of the text is hidden.
    """

    text_length: int | None = None
    visible_length: int = 0
    tool_calls: int | None = None
    is_other: bool = False
    is_refusal: bool = False
    is_hidden: bool = False

    def add_text(self, text: Any) -> None:
        """Count a part of the text. If a part is hidden, the length is unknown."""
        if isinstance(text, str) and text != REDACTED:
            self.text_length = (self.text_length or 0) + len(text)
            self.visible_length += len(text.strip())
        else:
            self.is_hidden = True

    def output(self, *, is_refused: bool) -> dict[str, Any]:
        """Return the fields of the section ``output``.

        An answer of tool calls alone has no length, and a refusal without text has neither a length nor emptiness.
        """
        fields: dict[str, Any] = {}
        has_other = self.is_other or bool(self.tool_calls)
        if has_other and not self.visible_length:
            fields["empty"] = False
        elif self.text_length is not None and not self.is_hidden and (self.visible_length or not is_refused):
            fields["length"] = self.text_length
            fields["empty"] = self.visible_length == 0
        if self.tool_calls is not None:
            fields["tool_calls"] = self.tool_calls
        return fields


def read_answer(attributes: Mapping[str, Any]) -> Answer:
    """Read the answer from the attributes of a span or an event."""
    messages = attributes.get("gen_ai.output.messages")
    if messages is not None:
        return _read_messages(parse_attribute(messages))
    return _read_flat(attributes)


def read_choice(body: Any) -> Answer:
    """Read the answer from the body of the event ``gen_ai.choice``."""
    answer = Answer()
    if isinstance(body, dict):
        message = body.get("message")
        message = message if isinstance(message, dict) else {}
        if "content" in message:
            answer.add_text(message["content"])
        calls = body.get("tool_calls", message.get("tool_calls"))
        if isinstance(calls, list) and calls:
            answer.tool_calls = len(calls)
    return answer


def is_refusal(reasons: Iterable[str]) -> bool:
    """Return whether one of the finish reasons stands for a refusal.

    >>> is_refusal(["stop"]), is_refusal(["CONTENT-FILTER"])
    (False, True)
    """
    return any(reason.lower().replace("-", "_") in _REFUSALS for reason in reasons)


def read_reasons(value: Any) -> list[str]:
    """Return the finish reasons that an attribute has: a list, a text, or a list as JSON.

    >>> read_reasons(["stop"]), read_reasons('["stop", "length"]'), read_reasons("stop"), read_reasons(5)
    (['stop'], ['stop', 'length'], ['stop'], [])
    """
    if isinstance(value, str) and value.startswith("["):
        value = parse_attribute(value)
    if isinstance(value, str):
        value = [value]
    return [reason for reason in value if isinstance(reason, str)] if isinstance(value, list) else []


def parse_attribute(value: Any) -> Any:
    """Return a value that an attribute has as a list or as JSON; None if it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return None


def _read_messages(messages: Any) -> Answer:
    answer = Answer()
    if not isinstance(messages, list):
        return answer
    lists = [message["parts"] for message in messages if isinstance(message, dict) and "parts" in message]
    if not lists or not all(isinstance(parts, list) for parts in lists):
        return answer
    answer.tool_calls, answer.text_length = 0, 0
    for part in (part for parts in lists for part in parts if isinstance(part, dict)):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            answer.add_text(part.get("content"))
            answer.is_refusal |= kind == "refusal"
        elif kind in ("tool_call", "server_tool_call"):
            answer.tool_calls += 1
        elif kind != "reasoning":
            answer.is_other = True
    return answer


def _read_flat(attributes: Mapping[str, Any]) -> Answer:
    """Read an answer whose parts are attributes of their own."""
    answer, calls, is_message = Answer(), set(), False
    for name, value in attributes.items():
        found = next((form.fullmatch(name) for prefix, form in _FORMS if name.startswith(prefix)), None)
        if found is None:
            continue
        is_message |= name.startswith(_OPENINFERENCE_PREFIX)
        if found["call"]:
            calls.add(name[: found.end("call")])
        elif found["text"]:
            if attributes.get(name.removesuffix("text") + "type") != "reasoning":
                answer.add_text(value)
        elif found["type"]:
            answer.is_other |= value not in ("text", "reasoning", "tool_use")
    if is_message and answer.text_length is None and not answer.is_hidden:
        # OpenInference writes the role of a message without content, and nothing at all of a message that it hides.
        answer.text_length = 0
    if calls or is_message:
        answer.tool_calls = len(calls)
    return answer
