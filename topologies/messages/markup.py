"""Markup of messages as plain text, Markdown and HTML. Names from records stay names: no markup, mention or link.

Sources: GitHub Flavored Markdown 0.29, HTML 5.
"""

import html
import re

from pipeline.review.markdown import escape
from topologies.messages.message import IncidentMessage

_STARTS = re.compile(r"(?<=[@#])(?=[\w!&])|(?<=<)(?=[@#!])|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
"""Places after which a service turns plain text into a mention, a reference or a link."""

_ZERO_WIDTH_SPACE = "\u200b"

_QUOTES = str.maketrans("<>&", "\u2039\u203a+")
"""Characters that begin a tag or an entity, with their replacements in a title."""


def render_title(message: IncidentMessage) -> str:
    """Return the headline as a title that is the same in plain text, Markdown and HTML, such as a subject of a mail."""
    return _without_links(message.headline).translate(_QUOTES)


def render_text(message: IncidentMessage) -> str:
    """Return the message without its headline as plain text."""
    lines = [f"{message.news}\n"] if message.news else []
    lines += [f"{fact.label}: {fact.text}" for fact in message.facts]
    text = _without_links("\n".join(lines))
    for action in message.actions:
        text += f"\n\n{_without_links(action.text)}{':' if action.command else ''}"
        text += f"\n    {action.command}" if action.command else ""
    return "\n\n".join([text, *(f"{link.label}: {link.url}" for link in message.links)])


def render_markdown(message: IncidentMessage) -> str:
    """Return the message without its headline as Markdown."""
    parts = [f"**{_markdown(message.news)}**"] if message.news else []
    parts.append("\n".join(f"- **{fact.label}:** {_markdown(fact.text)}" for fact in message.facts))
    for action in message.actions:
        code = f":\n\n```\n{action.command}\n```" if action.command else ""
        parts.append(f"{_markdown(action.text)}{code}")
    parts += [f"[{link.label}]({link.url})" for link in message.links]
    return "\n\n".join(parts)


def render_html(message: IncidentMessage) -> str:
    """Return the message without its headline as HTML that uses only tags that chat services support too."""
    parts = [f"<p><b>{_html(message.news)}</b></p>"] if message.news else []
    facts = "<br/>".join(f"<b>{fact.label}:</b> {_html(fact.text)}" for fact in message.facts)
    parts.append(f"<p>{facts}</p>")
    for action in message.actions:
        code = f"\n<pre>{html.escape(action.command)}</pre>" if action.command else ""
        parts.append(f"<p>{_html(action.text)}{':' if action.command else ''}</p>{code}")
    for link in message.links:
        url = html.escape(link.url)
        parts.append(f'<p>{link.label}: <a href="{url}">{url}</a></p>')
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return escape(_without_links(text))


def _html(text: str) -> str:
    return html.escape(_without_links(text))


def _without_links(text: str) -> str:
    """Insert an invisible space where a service would begin a mention, a reference or a link.

    >>> _without_links("@here http://x").replace(_ZERO_WIDTH_SPACE, "_")
    '@_here http:_//x'
    """
    return _STARTS.sub(_ZERO_WIDTH_SPACE, text)
