"""The message about several incidents: headline, news, list, and what to do about the most urgent."""

from dataclasses import replace

from pipeline.route.reasons import Reason
from tests.pipeline.route.samples import STARTED, group_message, incident
from topologies.messages import render_text, write_message
from topologies.messages.message import MessageAction, MessageFact, write_incident_message

FIRST = incident(incident_id="inc-a")
WORST = incident(
    incident_id="inc-b", severity="P1", title="search is down", runbook="https://runbooks.example.org/b.md"
)
OVER = incident(incident_id="inc-c", severity="P2", status="resolved", resolved_at=STARTED + 1000)
LINE = "support-bot refuses 9.1 % of requests (inc-a), since 2026-11-24 03:12:00Z"


def test_the_news_comes_first_and_the_most_urgent_incident_says_what_to_do():
    message = write_message(group_message(FIRST, WORST))
    assert message.headline == 'P1 open: 2 incidents (subject="support-bot")'
    assert message.news == "2 new"
    assert message.facts[:2] == (
        MessageFact("P1 open", "search is down (inc-b), since 2026-11-24 03:12:00Z"),
        MessageFact("P3 open", LINE),
    )
    assert [fact.label for fact in message.facts[2:]] == ["Most urgent", "Suspected cause", "Scope", "Due"]
    assert message.actions[0] == MessageAction("Acknowledge it", "driftwire incident ack inc-b")
    assert [link.url for link in message.links] == ["https://runbooks.example.org/b.md"]


def test_open_incidents_without_news_are_listed():
    message = write_message(group_message(OVER, unchanged=[FIRST, WORST]))
    assert message.headline == 'P1 open: 2 incidents (subject="support-bot")'
    assert message.news == "1 over"
    assert message.facts[0].label == "P2 resolved"
    assert message.facts[1:3] == (
        MessageFact("P3 still open", "support-bot refuses 9.1 % of requests (inc-a)"),
        MessageFact("P1 still open", "search is down (inc-b)"),
    )


def test_the_base_of_runbooks_is_that_of_the_most_urgent_incident():
    base = {"runbook_base": ("https://runbooks.example.org/team/",)}
    message = write_message(replace(group_message(WORST, FIRST), labels=base))
    assert [link.url for link in message.links] == ["https://runbooks.example.org/team/refusal_spike.md"]
    message = write_message(replace(group_message(FIRST, unchanged=[WORST]), labels=base))
    assert [link.url for link in message.links] == [WORST.runbook]


def test_changes_say_what_changed():
    message = group_message(FIRST, WORST)
    members = message.group_news.dispatches
    changed = replace(members[0], reason=Reason("severity_changed", "severity P3 -> P1"))
    message = write_message(replace(message, group_news=replace(message.group_news, dispatches=(changed, members[1]))))
    assert message.news == "1 new, 1 changed"
    assert message.facts[0].text.endswith("; severity P3 -> P1")


def test_the_end_of_all_incidents_has_no_actions():
    message = write_message(group_message(OVER, replace_id(OVER, "inc-d")))
    assert message.headline == 'P2 resolved: 2 incidents (subject="support-bot")'
    assert message.news == "2 over"
    assert not any("ack" in action.command for action in message.actions)


def test_a_group_whose_open_incidents_are_acknowledged_says_so():
    acknowledged = incident(status="acknowledged", acknowledged_by="ana")
    assert write_message(group_message(acknowledged, OVER)).headline.startswith("P3 acknowledged: 1 incident (")


def test_many_incidents_are_counted():
    news = [replace_id(FIRST, f"inc-{number}") for number in range(30)]
    message = write_message(group_message(*news, others=[("P1", "open")] * 2))
    assert message.headline == 'P1 open: 32 incidents (subject="support-bot")'
    assert [fact.text for fact in message.facts if fact.label == "And"] == [
        "20 P3 more with news",
        "2 P1 more without news",
    ]
    assert len(render_text(message)) < 10_000


def test_an_end_says_how_many_others_are_open():
    message = write_message(group_message(OVER, others=[("P3", "open")]))
    assert message.headline == 'P3 open: 1 incident (subject="support-bot")'
    assert [fact.text for fact in message.facts if fact.label == "And"] == ["1 P3 more without news"]


def test_a_group_of_one_incident_is_told_like_an_incident():
    message = group_message(FIRST)
    assert write_message(message) == write_incident_message(message)


def replace_id(revision, incident_id):
    return revision.model_copy(update={"incident_id": incident_id})
