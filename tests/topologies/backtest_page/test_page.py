"""The page: everything is escaped, nothing is loaded, and it can be read at any width."""

import asyncio
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.backtest import BacktestSettings, LearningPeriod, Playback
from tests.chromium import CHROMIUM, open_page
from tests.hostile_names import HOSTILE, SUBJECT, is_plain
from tests.past_records import SETTINGS, deployment, past_records, time_of
from topologies.backtest_page import write_page

LEARNING = LearningPeriod(time_of(3000), "the first half")
LONG = "w" * 190


def page_of(subject, **fields):
    """The page of a failure with a deployment, with records that cannot be used."""
    lines = [*past_records(refused=0.5, subject=subject, **fields), b"no record"]
    deployments = [deployment(subject=subject, to_version=fields["versions"]["prompt"], summary=HOSTILE)]
    result = Playback(BacktestSettings(SETTINGS), LEARNING, deployments=deployments).play(lines)
    assert result.pages
    return write_page(result, [f"{subject}.ndjson"])


@pytest.fixture(scope="module")
def hostile_page():
    custom = {HOSTILE[:60]: 1.0, "a</style><script>alert(1)</script>": 2.0}
    return page_of(SUBJECT, versions={"prompt": HOSTILE}, provider="<img src=//x onerror=y>", custom=custom)


class Elements(HTMLParser):
    """The tags, attributes and policy of a page, as a browser reads them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.policy = set(), set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"]


def test_what_is_left_out_is_counted():
    deployments = [deployment(deployment_id=f"d{number}") for number in range(203)]
    result = Playback(BacktestSettings(SETTINGS), LEARNING, deployments=deployments).play(past_records(refused=0.5))
    page = write_page(replace(result, dropped_drifts=1234), ["a.ndjson"])
    assert "1,234 later drift messages are not drawn" in page
    assert "and 3 more deployments" in page


def test_names_from_records_stay_names(hostile_page):
    assert "owned" in hostile_page
    assert is_plain(hostile_page)
    assert "&lt;script&gt;" in hostile_page
    elements = Elements(hostile_page)
    assert not elements.tags & {"script", "img", "iframe", "link", "object", "form", "a", "b onclick"}
    assert not [name for name in elements.attributes if name.startswith("on")]


def test_the_page_refers_to_nothing_outside(hostile_page):
    elements = Elements(hostile_page)
    assert not elements.attributes & {"src", "href", "srcset", "action", "background", "poster"}
    assert elements.policy.startswith("default-src 'none'")
    assert "url(" not in hostile_page
    assert "@import" not in hostile_page


def test_a_warning_stands_out_if_nothing_was_judged():
    result = Playback(BacktestSettings(SETTINGS), LEARNING).play(past_records(count=100))
    page = write_page(result, ["r.ndjson"], "nothing was judged: type this")
    assert '<p class="alarm" role="alert">nothing was judged: type this</p>' in page
    assert "Nothing was judged, so this says nothing about the records." in page


def test_records_without_anything_usable_still_give_a_page():
    result = Playback(BacktestSettings(SETTINGS), LEARNING).play([b"no record"])
    assert "not_json" in write_page(result, ["r.ndjson"])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_the_page_without_overflow_errors_or_requests(tmp_path, hostile_page, width, dark):
    path = tmp_path / "report.html"
    for text in (hostile_page, page_of(LONG, versions={"prompt": LONG}, custom={LONG[:100]: 1.0})):
        path.write_text(text)
        page = asyncio.run(open_page(path.as_uri(), width, dark=dark))
        assert (page.overflow, page.overflowing) == (0, [])
        assert page.requests == [path.as_uri()]
        assert page.messages == []
        assert "would have paged once" in page.text
        assert "Refusal spike" in page.text
