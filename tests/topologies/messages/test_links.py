"""Links of a message: the runbook at a base of one's own, a search of traces, the page of the incident."""

import pytest

from pipeline.route import Dispatch
from pipeline.route.reasons import Reason
from tests.hostile_names import HOSTILE, is_plain
from tests.pipeline.route.samples import STARTED, alert, incident
from topologies.messages import render_html, render_markdown, render_text, write_message
from topologies.messages.links import URL_LENGTH_MAX, MessageLink

NEW = Reason("first_notification", "new to the receiver: P3 open")
BASE = {"runbook_base": ("https://runbooks.example.org/search/",)}
LINKS = {
    "Traces": "https://traces.example.org/search?service={subject}&from={from_s}&to={to_s}",
    "Incident page": "https://page.example.org/incidents/{incident_id}",
}


def message(labels=BASE, links=LINKS, **changes):
    revision = incident(**changes)
    dispatch = Dispatch(revision, "chat", "r", NEW, alert(revision), STARTED + 60_000, labels=labels, links=links)
    return write_message(dispatch)


def test_a_message_has_the_runbook_and_the_links_of_the_configuration_in_this_order():
    told = message()
    start = STARTED // 1000
    search = f"https://traces.example.org/search?service=support-bot&from={start - 600}&to={start + 660}"
    assert told.links == (
        MessageLink("Runbook", "https://runbooks.example.org/search/refusal_spike.md"),
        MessageLink("Traces", search),
        MessageLink("Incident page", "https://page.example.org/incidents/inc-3f9a21c0b7"),
    )
    assert "Runbook" not in {fact.label for fact in told.facts}


def test_the_base_of_the_labels_comes_before_the_address_of_the_incident():
    (link,) = message(links={}, runbook="https://wiki.example.org/refusal_spike.md").links
    assert link.url == "https://runbooks.example.org/search/refusal_spike.md"
    (link,) = message(labels={}, links={}, runbook="https://wiki.example.org/refusal_spike.md").links
    assert link.url == "https://wiki.example.org/refusal_spike.md"


def test_without_a_base_a_runbook_of_the_repository_is_a_fact_beside_the_links():
    told = message(labels={})
    assert [link.label for link in told.links] == ["Traces", "Incident page"]
    assert {fact.label: fact.text for fact in told.facts}["Runbook"] == "docs/runbooks/refusal_spike.md"


def test_a_failure_mode_stays_a_file_name():
    (link,) = message(links={}, failure_mode='../../x?a="b"').links
    assert link.url == "https://runbooks.example.org/search/..%2F..%2Fx%3Fa%3D%22b%22.md"


def test_a_link_that_is_too_long_is_left_out_and_the_others_stay():
    prefix = "https://t.example.org/"
    fitting = prefix + "x" * (URL_LENGTH_MAX - len(prefix) - len("support-bot")) + "{subject}"
    told = message(links={"Traces": fitting, "Logs": f"{fitting}x", "Page": "https://p.example.org/"})
    assert [(link.label, len(link.url)) for link in told.links[1:]] == [("Traces", URL_LENGTH_MAX), ("Page", 22)]


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_a_hostile_name_is_inert_in_every_link(render):
    told = message(
        labels=BASE, incident_id=HOSTILE[:200], failure_mode=HOSTILE[:200], subject="\x9b31m\u202e[a](x)<b>'\")`"
    )
    assert len(told.links) == 3
    text = render(told)
    for link in told.links:
        assert link.url in text or link.url.replace("&", "&amp;") in text
        assert is_plain(link.url)
        assert link.url.isascii()
        assert not set(link.url) & set("<>\"'`()[] \\|\n")


def test_every_link_is_one_line_of_plain_text():
    lines = render_text(message()).splitlines()
    assert "Incident page: https://page.example.org/incidents/inc-3f9a21c0b7" in lines
