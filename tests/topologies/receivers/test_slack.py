import asyncio
import re
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import SlackSettings
from pipeline.route.settings import RouteSettings
from pipeline.route.step import RouteStep
from schemas.incident import Containment
from schemas.topics import NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, evidence, incident, suspect
from tests.topologies.messages import digests
from tests.topologies.receivers.slack_server import CHANNEL, TOKEN, WEBHOOK, run_slack
from topologies.receivers.delivery import NotificationSender, build_receivers
from topologies.receivers.http import HttpClient
from topologies.receivers.slack import SlackReceiver

NOW_S = 1_795_489_961.0
OPENED = Dispatch(
    incident(),
    "chat",
    "urgent",
    Reason("first_notification", "new to the receiver: P3 open"),
    alert(incident()),
    STARTED,
)


def later(reference, reason="severity P3 -> P2", **changes):
    revision = incident(revision=2, severity="P2", **changes)
    return Dispatch(
        revision, "chat", "urgent", Reason("severity_changed", reason), alert(revision), STARTED, reference=reference
    )


@pytest_asyncio.fixture
async def slack():
    async with run_slack() as server:
        yield server


def receiver(server, **settings):
    given = {"token": TOKEN, "channel": CHANNEL, "api_url": f"{server.address}/api"} | settings
    return SlackReceiver(SlackSettings(**given), HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)


def webhook(server):
    settings = SlackSettings(url=f"{server.address}{WEBHOOK}")
    return SlackReceiver(settings, HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)


def texts(blocks):
    """All texts that a reader sees."""
    if isinstance(blocks, dict):
        return [blocks["text"]] if isinstance(blocks.get("text"), str) else texts(list(blocks.values()))
    return [text for block in blocks for text in texts(block)] if isinstance(blocks, list) else []


def shown(message):
    return "".join(texts(message["blocks"]))


async def test_a_new_incident_is_one_message_whose_reference_is_stored(slack):
    delivery = await receiver(slack).deliver(OPENED)
    reference = f"{CHANNEL}:1795489961.000000"
    reason = "new to the receiver: P3 open"
    assert delivery == Delivery("sent", reason, 1, sent_at=int(NOW_S * 1000), reference=reference)
    (message,) = slack.top_level
    assert message["text"] == "P3 open: support-bot refuses 9.1 % of requests"
    assert message["blocks"][0]["text"]["text"] == "P3 open: support-bot refuses 9.1 % of requests"
    told = shown(message)
    for part in ("refused 1.0 % -> 9.1 % (at detection)", "Since: 2026-11-24 03:12:00Z", "Roll back prompt v42 -> v41"):
        assert part in told
    commands = [
        element["elements"][0]["text"]
        for element in message["blocks"][1]["elements"]
        if element["type"] == "rich_text_preformatted"
    ]
    assert commands == ["driftwire incident ack inc-3f9a21c0b7"]


async def test_a_later_notification_edits_the_message_and_replies_in_its_thread(slack):
    chat = receiver(slack)
    first = await chat.deliver(OPENED)
    second = await chat.deliver(later(first.reference))
    assert (second.outcome, second.reference) == ("sent", first.reference)
    (message,) = slack.top_level
    assert message["text"] == "P2 open: support-bot refuses 9.1 % of requests (severity P3 -&gt; P2)"
    (reply,) = slack.replies("1795489961.000000")
    assert shown(reply) == "P2 open: support-bot refuses 9.1 % of requests\nseverity P3 -> P2"
    assert [name for name, _ in slack.calls] == ["chat.postMessage", "chat.update", "chat.postMessage"]
    assert slack.calls[1][1]["parse"] == "none"


async def test_a_channel_that_is_given_by_its_name_is_edited_by_its_id(slack):
    chat = receiver(slack, channel="alerts")
    first = await chat.deliver(OPENED)
    assert (await chat.deliver(later(first.reference))).outcome == "sent"
    assert len(slack.top_level) == 1


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_message_that_cannot_be_edited_is_posted_again(slack, error):
    chat = receiver(slack)
    first = await chat.deliver(OPENED)
    slack.plans = [error]
    second = await chat.deliver(later(first.reference))
    assert second.outcome == "sent"
    assert second.reference == f"{CHANNEL}:1795489961.000001"
    assert len(slack.top_level) == 2
    assert slack.replies("1795489961.000000") == []


async def test_a_failed_reply_is_repeated_with_the_edit_which_changes_nothing(slack):
    chat = receiver(slack)
    first = await chat.deliver(OPENED)
    slack.plans = [None, "internal_error"]
    assert (await chat.deliver(later(first.reference))).outcome == "retry"
    edited = orjson.dumps(slack.top_level)
    assert (await chat.deliver(later(first.reference))).outcome == "sent"
    assert orjson.dumps(slack.top_level) == edited
    assert len(slack.replies("1795489961.000000")) == 1


@pytest.mark.parametrize(
    "error",
    ["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"],
)
async def test_a_temporary_error_can_be_tried_again(slack, error):
    slack.plans = [error]
    problem = f"{slack.address} refused the message ({error})"
    assert await receiver(slack).deliver(OPENED) == Delivery("retry", problem, 1)


@pytest.mark.parametrize("status", [429, 200])
async def test_the_pause_of_a_rate_limit_is_passed_on(slack, status):
    async def limit(_):
        return web.json_response({"ok": False, "error": "ratelimited"}, status=status, headers={"Retry-After": "30"})

    slack.plans = [limit]
    delivery = await receiver(slack).deliver(OPENED)
    assert (delivery.outcome, delivery.retry_after_s) == ("retry", 30.0)


@pytest.mark.parametrize(
    ("error", "solution"),
    [
        ("invalid_auth", "set a valid bot token"),
        ("missing_scope", "chat:write"),
        ("channel_not_found", "correct the channel"),
        ("not_in_channel", "invite the app"),
        ("is_archived", "unarchive the channel"),
        ("restricted_action", "allow the app to post"),
        ("invalid_blocks", "invalid_blocks"),
    ],
)
async def test_a_refusal_that_a_retry_would_not_change_says_what_to_do(slack, error, solution):
    slack.plans = [error]
    delivery = await receiver(slack).deliver(OPENED)
    assert delivery.outcome == "failed"
    assert f"({error}" in delivery.reason
    assert solution in delivery.reason


async def test_a_wrong_token_is_refused_and_never_shown(slack, caplog):
    caplog.set_level("DEBUG")
    delivery = await receiver(slack, token="xoxb-wrong").deliver(OPENED)
    assert delivery.outcome == "failed"
    assert "xoxb" not in delivery.reason + caplog.text


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'"ok"'])
async def test_an_answer_that_is_not_from_slack_can_be_tried_again(slack, body):
    async def proxy(_):
        return web.Response(body=body)

    slack.plans = [proxy]
    delivery = await receiver(slack).deliver(OPENED)
    assert delivery.outcome == "retry"
    assert delivery.reason.endswith("did not answer with a JSON object: check api_url")


async def test_an_error_name_that_is_not_a_name_is_not_repeated(slack):
    slack.plans = ["<b>token</b>"]
    delivery = await receiver(slack).deliver(OPENED)
    assert (delivery.outcome, delivery.reason) == ("failed", f"{slack.address} refused the message (unknown error)")


async def test_the_token_is_read_from_its_file_for_each_attempt(slack, tmp_path):
    path = tmp_path / "token"
    chat = receiver(slack, token=None, token_file=str(path))
    missing = await chat.deliver(OPENED)
    assert missing == Delivery("retry", f"cannot use the token_file {path}: No such file or directory", 1)
    path.write_text(f"{TOKEN}\n")
    assert (await chat.deliver(OPENED)).outcome == "sent"


async def test_an_incoming_webhook_gets_every_notification_as_a_message(slack):
    first = await webhook(slack).deliver(OPENED)
    second = await webhook(slack).deliver(later(first.reference))
    assert [first.outcome, second.outcome] == ["sent", "sent"]
    assert [first.reference, second.reference] == ["", ""]
    assert [name for name, _ in slack.calls] == ["webhook", "webhook"]
    assert "severity P3 -> P2" in shown(slack.calls[1][1])


@pytest.mark.parametrize(
    ("status", "error", "outcome", "detail"),
    [
        (400, "invalid_payload", "failed", "(invalid_payload)"),
        (403, "action_prohibited", "failed", "(action_prohibited: allow the app to post in the channel)"),
        (404, "no_service", "failed", "(no_service: create the webhook again, and set its new address)"),
        (410, "channel_is_archived", "failed", "(channel_is_archived: unarchive the channel, or set another one)"),
        (500, "rollup_error", "retry", "(rollup_error)"),
        (404, "<html>not Slack</html>", "failed", "answered 404, which"),
    ],
)
async def test_a_refused_webhook_says_why(slack, status, error, outcome, detail):
    async def refuse(_):
        return web.Response(status=status, text=error)

    slack.plans = [refuse]
    delivery = await webhook(slack).deliver(OPENED)
    assert delivery.outcome == outcome
    assert detail in delivery.reason
    assert "secret-path" not in delivery.reason


async def test_names_from_records_are_text_and_never_markup(slack):
    name = "<!channel> <@U123> *b* & <https://evil.example|x> @here"
    revision = incident(title=name, environment=name, evidence=[evidence("silence", channel="silence", sentence=name)])
    delivery = await receiver(slack).deliver(replace(OPENED, incident=revision))
    assert delivery.outcome == "sent"
    (message,) = slack.top_level
    assert message["text"].startswith("P3 open: &lt;!channel&gt; &lt;@U123&gt; *b* &amp; &lt;https:")
    assert shown(message).count(name) == 3


@pytest.mark.parametrize(
    ("character", "shown_links"),
    [("x", "ab"), ('"', ""), ("\\", ""), ("'", "ab"), ("€", "ab"), ("\u202e", "ab")],
)
async def test_the_longest_message_is_within_the_limits_of_slack(slack, character, shown_links):
    long, label = character * 2000, character * 200
    revision = incident(
        incident_id=label,
        title=long,
        environment=label,
        provider=label,
        segments=[label] * 5,
        acknowledged_by=label,
        technical_lead=label,
        evidence=[evidence("silence", channel="silence", sentence=long)] * 9,
        suspects=[suspect(name=label)],
        containment=[Containment(rank=rank, action="filter", target=long, reason=long) for rank in range(9)],
        runbook=f"https://runbooks.example.org/{long}",
    )
    links = {f"{name * 40}": "https://traces.example.org/".ljust(2000, "x") for name in "abc"}
    dispatch = Dispatch(revision, "chat", "urgent", Reason("response", long), alert(revision), STARTED, links=links)
    for chat in (receiver(slack), webhook(slack)):
        delivery = await chat.deliver(dispatch)
        assert delivery.outcome == "sent", delivery.reason
        content = slack.calls[-1][1]
        assert [text[0] for text in texts(content["blocks"]) if re.fullmatch(r"(.)\1{39}", text)] == list(shown_links)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "set either token or token_file with channel, or url or url_file"),
        ({"token": "t", "url": "https://a.example.org"}, "set either token or token_file with channel"),
        ({"token": "t"}, "set channel with a token"),
        ({"url": "https://a.example.org", "channel": "C1"}, "a webhook has its own channel"),
        ({"token": "t", "token_file": "f", "channel": "C1"}, "set either token or token_file"),
        ({"url": "ftp://a.example.org"}, "url must be an http or https address"),
        ({"token": "t", "channel": "C1", "api_url": "slack.com"}, "it must be an http or https address"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(settings, problem):
    with pytest.raises(ValueError, match=problem):
        SlackSettings(**settings)


async def test_the_reference_of_a_message_survives_a_restart_of_the_step(slack):
    chat = {"token": TOKEN, "channel": CHANNEL, "api_url": f"{slack.address}/api"}
    settings = RouteSettings.model_validate(
        {"receivers": [{"name": "chat", "slack": chat}], "default_receivers": ["chat"]}
    )
    state = {}
    for offset, revision in enumerate([incident(), incident(revision=2, severity="P2")]):
        step = RouteStep(settings)
        assert list(step.restore(state.items())) == []
        step.step([alert(revision, offset)])
        sender = NotificationSender(build_receivers(settings, replay=False))
        outputs = []
        async with asyncio.timeout(10):
            while not any(output.topic == NOTIFICATIONS for output in outputs):
                outputs += await sender.exchange(step)
                await asyncio.sleep(0.01)
        state |= {key: value for key, value in step.changed() if value is not None}
    (message,) = slack.top_level
    assert message["text"].startswith("P2 open: ")
    assert len(slack.replies("1795489961.000000")) == 1


@pytest.mark.parametrize("build", [receiver, webhook])
async def test_a_digest_is_a_message_of_its_own_without_markup_from_names(slack, build):
    name = "<!channel> <@U123> *b* & <https://evil.example|x> @here"
    for content in (digests.digest(), digests.hostile(name)):
        delivery = await build(slack).deliver_notice(digests.dispatch(content, "chat"))
        assert delivery.outcome == "sent"
    first, second = [content for _, content in slack.calls]
    assert first["text"] == "Digest morning: 1 P4, 1 P3 open for longer than a day, 1 suppressed"
    assert "Suppressed: support-bot refuses 9.1 % of requests (P2 open, began" in shown(first)
    assert shown(second).count(name) == 4


@pytest.mark.parametrize("character", ["x", '"', "\\", "'", "€", "\u202e"])
async def test_the_longest_digest_is_within_the_limits_of_slack(slack, character):
    for chat in (receiver(slack), webhook(slack)):
        delivery = await chat.deliver_notice(digests.dispatch(digests.longest(character), "chat"))
        assert delivery.outcome == "sent", delivery.reason


async def test_a_digest_that_slack_refuses_is_a_permanent_refusal(slack):
    slack.plans = ["is_archived"]
    delivery = await receiver(slack).deliver_notice(digests.dispatch(receiver="chat"))
    assert delivery.outcome == "failed"
