import pytest
from markdown_it import MarkdownIt

from pipeline.plain_text import plain_text
from pipeline.review.markdown import code, escape, table

HOSTILE = (
    "<script>alert(1)</script>",
    "[here](http://evil.example/)",
    "![x](http://evil.example/x.png)",
    "http://evil.example/ www.evil.example",
    "**bold** _slanted_ __a__ ~~gone~~ `code`",
    "# heading",
    "- item",
    "12. item",
    "> quote",
    "=== ---",
    "a | b || c",
    "&lt;b&gt; &#60;",
    "back\\slash \\* $x$",
    "two\n\n# lines\r\n\tand a tab",
    "\x07\u202etfel",
)


def render(source):
    """The text that a reader of Markdown sees, and the kinds of its tokens."""
    tokens = list(MarkdownIt("gfm-like", {"linkify": False}).parse(source))
    inner = [child for token in tokens for child in token.children or ()]
    return "".join(token.content for token in inner), {token.type for token in (*tokens, *inner)}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_senders_is_shown_as_text(text):
    content, kinds = render(escape(text))
    assert content == plain_text(text).strip()
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_remains_one_cell(text):
    content, kinds = render("\n".join(table(("a", "b"), [(escape(text), code(text))])))
    assert kinds <= {
        *(f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "th", "td") for side in ("open", "close")),
        "inline", "text", "text_special", "code_inline",
    }  # fmt: skip
    assert content.startswith("ab" + plain_text(text).strip())


def test_a_name_with_an_underscore_is_unchanged():
    assert escape("latency_ms of prompt v41 -> v42") == "latency_ms of prompt v41 -> v42"
