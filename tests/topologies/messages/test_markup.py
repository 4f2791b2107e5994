"""The markup is checked by real readers: a Markdown parser and an HTML parser."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from topologies.messages import render_html, render_markdown, render_text, render_title
from topologies.messages.message import IncidentMessage, MessageAction, MessageFact, MessageLink

HOSTILE = (
    "@channel <!here> <@U123> <@&42> <@!42> @user #42 *bold* _it_ ~~no~~ `code` [a](http://evil.example) <b>b</b> &amp; |x| "
    "https://evil.example www.evil.example"
)
MESSAGE = IncidentMessage(
    headline="P2 open: refusals",
    news=HOSTILE,
    facts=(MessageFact("What", HOSTILE), MessageFact("Since", "03:12:00Z")),
    actions=(MessageAction("Acknowledge it", "driftwire incident ack 'a`<b>'"), MessageAction(HOSTILE)),
    links=(MessageLink("Runbook", "https://runbooks.example.org/a.md?b=1&c=2"),),
)


class Reader(HTMLParser):
    """Collect tags, links, code and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.text, self.code = set(), [], "", ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        self.text += data
        self.code += data if self.inside in ("code", "pre") else ""


def shown(text):
    return text.replace("\u200b", "")


def read_markdown():
    return Reader(MarkdownIt("gfm-like", {"linkify": False}).render(render_markdown(MESSAGE)))


@pytest.mark.parametrize("read", [read_markdown, lambda: Reader(render_html(MESSAGE))], ids=["markdown", "html"])
def test_names_are_shown_unchanged_and_only_the_runbook_is_a_link(read):
    reader = read()
    assert shown(reader.text).count(HOSTILE) == 3
    assert reader.links == ["https://runbooks.example.org/a.md?b=1&c=2"]
    assert reader.tags <= {"p", "b", "br", "pre", "a", "strong", "ul", "li", "code"}
    assert "driftwire incident ack 'a`<b>'" in reader.code
    assert "evil" not in reader.code


@pytest.mark.parametrize("text", [render_text(MESSAGE), read_markdown().text, Reader(render_html(MESSAGE)).text])
def test_nothing_in_a_name_is_a_mention_a_reference_or_an_address(text):
    for start in ("@channel", "<!here", "<@", "@&42", "@!42", "@user", "@U123", "#42", "://evil", "www.evil"):
        assert start not in text
        assert start in shown(text)


def test_plain_text_has_one_line_per_fact():
    lines = render_text(MESSAGE).splitlines()
    assert "Since: 03:12:00Z" in lines
    assert "    driftwire incident ack 'a`<b>'" in lines
    assert lines[-1] == "Runbook: https://runbooks.example.org/a.md?b=1&c=2"


def test_a_title_is_inert_in_every_markup():
    title = render_title(IncidentMessage("P1 open: <b>a & b</b> @here http://x", "", (), (), ()))
    assert shown(title) == "P1 open: \u2039b\u203aa + b\u2039/b\u203a @here http://x"
    assert "@here" not in title
    assert "http://" not in title
