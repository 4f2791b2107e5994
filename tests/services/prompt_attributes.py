"""The prompt of a request as attributes of its span, for instrumentations that do not name it themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.sdk.trace import Span, SpanProcessor

from tests.services.texts import PROMPT

VERSION_KEY = "prompt_version"
"""Name of the version in the context."""


class PromptAttributes(SpanProcessor):
    """Writes the prompt of the context on each span that starts."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Write the prompt on a span."""
        if version := context.get_value(VERSION_KEY, parent_context):
            span.set_attributes({"gen_ai.prompt.name": PROMPT, "gen_ai.prompt.version": str(version)})


@contextmanager
def prompt_version(version: str) -> Iterator[None]:
    """Name the version of the prompt in the context."""
    token = context.attach(context.set_value(VERSION_KEY, version))
    try:
        yield
    finally:
        context.detach(token)
