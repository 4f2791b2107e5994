import pytest
from markdown_it import MarkdownIt

from pipeline.review.markdown import code, escaped, plain, table

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


def shown(source):
    """What a reader of a Markdown text sees, and the kinds of what it is made of."""
    tokens = list(MarkdownIt("gfm-like", {"linkify": False}).parse(source))
    inner = [child for token in tokens for child in token.children or ()]
    return "".join(each.content for each in inner), {each.type for each in (*tokens, *inner)}


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_sender_wrote_is_shown_as_text(text):
    content, kinds = shown(escaped(text))
    assert content == plain(text).strip()
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_stays_one_cell(text):
    content, kinds = shown("\n".join(table(("a", "b"), [(escaped(text), code(text))])))
    assert kinds <= {
        *(f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "th", "td") for side in ("open", "close")),
        "inline", "text", "text_special", "code_inline",
    }  # fmt: skip
    assert content.startswith("ab" + plain(text).strip())


def test_a_name_with_an_underscore_reads_as_it_is():
    assert escaped("latency_ms of prompt v41 -> v42") == "latency_ms of prompt v41 -> v42"
