"""Each kind of receiver sends the incidents of a group in one message."""

import io

import orjson
import pytest

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.receiver_settings import AppriseSettings, PagerDutySettings, SlackSettings, WebhookReceiverSettings
from schemas.incident import Incident
from tests.pipeline.route.samples import STARTED, group_message, incident
from tests.topologies.endpoint import run_endpoint
from tests.topologies.pagerduty_server import KEY, run_pagerduty
from tests.topologies.receivers.slack_server import CHANNEL, TOKEN, run_slack
from tests.topologies.receivers.smtp_server import run_smtp
from topologies.receivers.apprise import AppriseReceiver
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.delivery import NotificationSender
from topologies.receivers.http import HttpClient
from topologies.receivers.pagerduty import PagerDutyReceiver
from topologies.receivers.slack import SlackReceiver
from topologies.receivers.webhook import BATCH_CONTENT_TYPE, WebhookReceiver

NOW_S = 1_795_489_961.0
FIRST = incident(incident_id="inc-a")
WORST = incident(incident_id="inc-b", severity="P1")


def ended(revision: Incident) -> Incident:
    changes = {"revision": 2, "status": "resolved", "resolved_at": STARTED + 60_000}
    return Incident(**{**revision.model_dump(), **changes})


async def deliver(receiver, dispatch: Dispatch) -> Delivery:
    delivery = await receiver.deliver(dispatch)
    assert delivery.outcome == "sent"
    return delivery


async def test_a_webhook_gets_a_batch_of_cloud_events_each_with_its_own_id():
    async with run_endpoint() as endpoint:
        settings = WebhookReceiverSettings(url=endpoint.url, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        message = group_message(FIRST, WORST)
        await deliver(WebhookReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S), message)
        ((headers, events),) = endpoint.requests
    assert headers["Content-Type"] == BATCH_CONTENT_TYPE == "application/cloudevents-batch+json; charset=utf-8"
    assert [event["id"] for event in events] == ["inc-b:1:chat", "inc-a:1:chat"]
    assert [Incident.from_json(orjson.dumps(event["data"])) for event in events] == [WORST, FIRST]
    assert headers["webhook-id"] == message.message_id


async def test_a_large_group_takes_several_requests_each_with_its_own_id():
    revisions = [incident(incident_id=f"inc-{number}", summary="x" * 5000) for number in range(300)]
    async with run_endpoint() as endpoint:
        settings = WebhookReceiverSettings(url=endpoint.url, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        receiver = WebhookReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        endpoint.answers = [200, 500]
        assert (await receiver.deliver(group_message(*revisions))).outcome == "retry"
        endpoint.answers = [200]
        assert (await receiver.deliver(group_message(*revisions))).outcome == "sent"
        first, refused, again, *rest = endpoint.requests
    assert (again, refused[0]["webhook-id"]) == (first, rest[0][0]["webhook-id"])
    sizes = [int(headers["Content-Length"]) for headers, _ in (again, *rest)]
    assert len(sizes) > 2
    assert max(sizes) < 1_010_000
    sent = [event["data"]["incident_id"] for _, events in (again, *rest) for event in events]
    assert sorted(sent) == sorted(one.incident_id for one in revisions)
    assert len({headers["webhook-id"] for headers, _ in (again, *rest)}) == len(sizes)


async def test_pagerduty_has_one_alert_per_group_until_all_incidents_are_over():
    async with run_pagerduty() as pagerduty:
        settings = PagerDutySettings(url=pagerduty.url, routing_key=KEY)
        receiver = PagerDutyReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        first = group_message(FIRST, WORST)
        await deliver(receiver, first)
        assert pagerduty.statuses == {first.thread_id: "triggered"}
        event = pagerduty.events[0]["payload"]
        assert event["summary"] == 'P1 open: 2 incidents (subject="support-bot") (inc-b, inc-a)'
        assert event["severity"] == "critical"
        assert event["custom_details"]["P3 open"].startswith("support-bot refuses 9.1 % of requests (inc-a)")

        await deliver(receiver, group_message(ended(WORST), unchanged=[FIRST]))
        assert pagerduty.statuses == {first.thread_id: "triggered"}
        assert pagerduty.severities == {first.thread_id: "warning"}

        acknowledged = incident(incident_id="inc-a", status="acknowledged", acknowledged_by="ana")
        await deliver(receiver, group_message(acknowledged))
        assert pagerduty.statuses == {first.thread_id: "acknowledged"}

        await deliver(receiver, group_message(ended(FIRST)))
        assert pagerduty.statuses == {}  # a resolved alert is forgotten
        assert pagerduty.notified == [first.thread_id]


async def test_pagerduty_lists_all_incidents_of_one_severity():
    async with run_pagerduty() as pagerduty:
        settings = PagerDutySettings(url=pagerduty.url, routing_key=KEY)
        receiver = PagerDutyReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        await deliver(receiver, group_message(*(incident(incident_id=f"inc-{name}") for name in "abc")))
        lines = pagerduty.events[0]["payload"]["custom_details"]["P3 open"].splitlines()
    assert [line.partition("(")[2][:5] for line in lines] == ["inc-a", "inc-b", "inc-c"]


async def test_pagerduty_keeps_the_alert_of_a_group_while_an_incident_that_is_not_listed_is_open():
    async with run_pagerduty() as pagerduty:
        settings = PagerDutySettings(url=pagerduty.url, routing_key=KEY)
        receiver = PagerDutyReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        message = group_message(ended(FIRST), others=[("P1", "open"), ("P2", "acknowledged")])
        await deliver(receiver, message)
        assert pagerduty.statuses == {message.thread_id: "triggered"}
        assert pagerduty.severities == {message.thread_id: "critical"}
        message = group_message(ended(FIRST), others=[("P2", "acknowledged")])
        await deliver(receiver, message)
        assert pagerduty.statuses == {message.thread_id: "acknowledged"}


async def test_slack_has_one_message_per_group_that_is_edited_with_a_reply_for_the_news():
    async with run_slack() as slack:
        settings = SlackSettings(token=TOKEN, channel=CHANNEL, api_url=f"{slack.address}/api")
        receiver = SlackReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        first = await deliver(receiver, group_message(FIRST))
        second = await deliver(receiver, group_message(WORST, unchanged=[FIRST], reference=first.reference))
        assert second.reference == first.reference
        (message,) = slack.top_level
        (reply,) = slack.replies(message["ts"])
    assert message["text"] == 'P1 open: 2 incidents (subject="support-bot") (1 new)'
    assert reply["text"] == message["text"]


async def test_a_group_of_a_hundred_incidents_fits_into_a_message_of_slack():
    revisions = [incident(incident_id=f"inc-{number}", title="x" * 1000) for number in range(100)]
    async with run_slack() as slack:  # which checks Slack's limits
        settings = SlackSettings(token=TOKEN, channel=CHANNEL, api_url=f"{slack.address}/api")
        receiver = SlackReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)
        await deliver(receiver, group_message(*revisions[:60], unchanged=revisions[60:70]))


async def test_a_mail_lists_the_incidents():
    async with run_smtp() as smtp:
        url = f"mailto://127.0.0.1:{smtp.port}?from=driftwire@example.org&to=on-call@example.org"
        receiver = AppriseReceiver(AppriseSettings(url=url), timeout_s=10.0, clock=lambda: NOW_S)
        await deliver(receiver, group_message(FIRST, WORST))
        (mail,) = smtp.mails
    assert mail["Subject"] == 'P1 open: 2 incidents (subject="support-bot")'
    text = mail.get_body(("plain",)).get_content()
    assert "P1 open: support-bot refuses 9.1 % of requests (inc-b), since 2026-11-24 03:12:00Z" in text


async def test_the_console_prints_a_card_per_incident():
    stream = io.StringIO()
    await deliver(ConsoleReceiver(stream, clock=lambda: NOW_S), group_message(FIRST, WORST))
    assert stream.getvalue().index("inc-b") < stream.getvalue().index("inc-a")


@pytest.mark.parametrize("outcome", ["sent", "retry"])
async def test_a_worker_does_not_send_a_message_again_that_the_receiver_accepted(outcome):
    class Counter:
        attempts = 0

        async def deliver(self, dispatch):
            self.attempts += 1
            return Delivery(outcome, "", 1)

    counter = Counter()
    sender = NotificationSender({"chat": counter})
    for _ in range(2):
        await sender._send_batch(None, [group_message(FIRST, WORST)], [])
    assert counter.attempts == (1 if outcome == "sent" else 2)
