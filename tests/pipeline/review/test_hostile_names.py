"""A review of an incident in which every name tries to control the reader's program."""

import re
from xml.etree import ElementTree as ET

from markdown_it import MarkdownIt

from pipeline.review import draw_picture, write_review
from pipeline.review.material import Material
from tests.hostile_names import HOSTILE, SUBJECT, is_plain
from tests.pipeline.correlate.builders import START, deployment
from tests.pipeline.review.worlds import baseline, drifts, revisions


def hostile_material() -> Material:
    names = {"author": HOSTILE, "summary": HOSTILE, "name": HOSTILE, "from_version": HOSTILE}
    deployments = [deployment(HOSTILE, subject=SUBJECT, to_version=HOSTILE, **names)]
    renamed = [
        one.model_copy(update={"subject": SUBJECT, "environment": HOSTILE, "segment": f"version={HOSTILE}"[:200]})
        for one in drifts()
    ]
    return Material.select(
        [
            revision.model_copy(
                update=dict.fromkeys(("title", "summary", "severity_reason", "change", "commander"), HOSTILE)
                | {"subject": SUBJECT, "environment": HOSTILE, "segments": [HOSTILE], "acknowledged_by": HOSTILE}
                | {"log": [entry.model_copy(update={"text": HOSTILE}) for entry in revision.log]}
                | {
                    "suspects": [
                        one.model_copy(update={"name": HOSTILE, "reason": HOSTILE}) for one in revision.suspects
                    ]
                }
            )
            for revision in revisions(until=START + 5 * 60_000)
        ],
        renamed,
        deployments,
        [baseline("refused", subject=SUBJECT)],
    )


def test_a_review_has_no_link_page_or_line_of_a_name():
    review = write_review(hostile_material(), "review.svg")
    assert review.count("gpj.exe") > 5
    assert is_plain(review)
    tokens = list(MarkdownIt("gfm-like", {"linkify": False}).parse(review))
    inner = [child for token in tokens for child in token.children or ()]
    links = {token.attrs["href"] for token in inner if token.type == "link_open"}
    assert not any("//x" in link for link in links)
    assert not {"html_inline", "html_block"} & {token.type for token in (*tokens, *inner)}


def test_a_picture_has_no_markup_of_a_name():
    picture = draw_picture(hostile_material())
    root = ET.fromstring(picture)
    texts = "".join(root.itertext())
    assert "gpj.exe" in texts
    assert is_plain(re.sub(r"\n", "", texts))
    assert not [element for element in root.iter() if element.tag.endswith(("}script", "}b"))]
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
