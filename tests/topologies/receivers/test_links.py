"""The runbook, a search of traces and the incident's page, as each service shows them."""

import asyncio
import re

from pipeline.route import RouteStep
from pipeline.route.settings import RouteSettings
from schemas.topics import NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.topologies.endpoint import run_endpoint
from tests.topologies.pagerduty_server import KEY, run_pagerduty
from tests.topologies.receivers.slack_server import CHANNEL, TOKEN, run_slack
from tests.topologies.receivers.smtp_server import run_smtp
from topologies.receivers.delivery import NotificationSender, build_receivers

SUBJECT = "\x9b31mbot [a](http://evil.example) <b> & ?x=1"
ENCODED = "%C2%9B31mbot%20%5Ba%5D%28http%3A%2F%2Fevil.example%29%20%3Cb%3E%20%26%20%3Fx%3D1"
FROM, TO = STARTED // 1000 - 600, STARTED // 1000 + 660
EXPECTED = {
    "Runbook": "https://runbooks.example.org/search/refusal_spike.md",
    "Traces": f"https://traces.example.org/search?service={ENCODED}&from={FROM}&to={TO}",
    "Incident page": "https://page.example.org/incidents/inc-3f9a21c0b7",
}


async def send(**receiver):
    """Send a revision through the whole step to one receiver of the settings."""
    settings = RouteSettings.model_validate(
        {
            "receivers": [{"name": "on-call"} | receiver],
            "default_receivers": ["on-call"],
            "labels": [{"labels": {"runbook_base": "https://runbooks.example.org/search/"}}],
            "links": {
                "Traces": "https://traces.example.org/search?service={subject}&from={from_s}&to={to_s}",
                "Incident page": "https://page.example.org/incidents/{incident_id}",
            },
        }
    )
    step = RouteStep(settings, STARTED + 60_000)
    step.step([alert(incident(subject=SUBJECT))])
    outputs = []
    sender = NotificationSender(build_receivers(settings, replay=False))
    while not outputs:
        await asyncio.sleep(0.01)
        outputs += await sender.exchange(step)
    (notification,) = (output for output in outputs if output.topic == NOTIFICATIONS)
    assert b'"outcome":"sent"' in notification.value


async def test_slack_shows_the_links_in_one_line():
    async with run_slack() as slack:
        await send(slack={"token": TOKEN, "channel": CHANNEL, "api_url": f"{slack.address}/api"})
    (message,) = slack.top_level
    line = message["blocks"][1]["elements"][-1]["elements"]
    assert "".join(part["text"] for part in line) == "Runbook · Traces · Incident page"
    assert {part["text"]: part["url"] for part in line if part["type"] == "link"} == EXPECTED


async def test_a_mail_shows_the_links_in_both_parts():
    async with run_smtp() as smtp:
        await send(apprise={"url": f"mailto://127.0.0.1:{smtp.port}?from=driftwire@example.org&to=on-call@example.org"})
    (mail,) = smtp.mails
    html = mail.get_body(("html",)).get_content()
    assert re.findall(r'<a href="([^"]*)">', html) == [url.replace("&", "&amp;") for url in EXPECTED.values()]
    lines = mail.get_body(("plain",)).get_content().splitlines()
    for label, url in EXPECTED.items():
        assert f"{label}: {url}" in lines


async def test_pagerduty_gets_the_links_of_an_alert():
    async with run_pagerduty() as pagerduty:
        await send(pagerduty={"url": pagerduty.url, "routing_key": KEY})
    (event,) = pagerduty.events
    assert {link["text"]: link["href"] for link in event["links"]} == EXPECTED


async def test_alertmanager_gets_the_runbook_as_an_annotation():
    async with run_endpoint() as endpoint:
        await send(alertmanager={"urls": [endpoint.url]})
    ((_, [posted]),) = endpoint.requests
    assert posted["annotations"]["runbook"] == EXPECTED["Runbook"]
