"""Slack receiver: one message per incident that later notifications edit, with every change as a reply in its thread.

The simple form is an incoming webhook, which posts every notification as a new message.

Sources: Slack's documentation of ``chat.postMessage``, ``chat.update``, incoming webhooks, rich text and rate limits. A
Web API method answers status 200 with ``{"ok": false, "error": NAME}`` if it refuses a request. Text in rich text is
never read as markup, so names from records cannot mention anybody.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson

from pipeline.route import Delivery, Dispatch, NoticeDispatch
from pipeline.route.receiver_settings import SlackSettings
from topologies.messages import IncidentMessage, write_digest, write_message
from topologies.receivers.http import HttpAnswer, HttpClient, RequestRefused
from topologies.receivers.secret import SecretUnavailable, read_secret, read_web_address

CONTENT_TYPE = "application/json; charset=utf-8"

MESSAGE_LENGTH_MAX = 13_200
"""Number of characters in the JSON of a message from which Slack may refuse it."""

SHORT_DIGEST_LINES = 7
"""Incidents per section of a digest that would be too long. Its message is always short enough."""

TEMPORARY = (
    *("ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error", "service_unavailable"),
    *("request_timeout", "team_added_to_org", "org_login_required", "external_channel_migrating", "update_failed"),
)
"""Errors after which a later attempt may succeed."""

NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed")
"""Errors of an edit after which a new message is posted."""

_SOLUTIONS = {
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"),
        "set a valid bot token",
    ),
    **dict.fromkeys(("missing_scope", "no_permission"), "give the app the scope chat:write, and install it again"),
    "channel_not_found": "correct the channel, and invite the app if the channel is private",
    "not_in_channel": "invite the app to the channel",
    **dict.fromkeys(("is_archived", "is_inactive", "channel_is_archived"), "unarchive the channel, or set another one"),
    **dict.fromkeys(
        ("restricted_action", "restricted_action_read_only_channel", "action_prohibited"),
        "allow the app to post in the channel",
    ),
    **dict.fromkeys(("no_service", "no_team", "invalid_token"), "create the webhook again, and set its new address"),
}
"""Remedies for errors that a retry would not change."""

_ERROR_NAME = re.compile(r"[a-z_]{1,100}")


class SlackReceiver:
    """Receiver that posts incidents to a channel of Slack.

    Parameters
    ----------
    settings
        Settings of the channel.
    client
        Client for the requests.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: SlackSettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the incident, or edit its message and reply in the thread of the message."""
        message = write_message(dispatch)
        return await self._attempt(self._publish(dispatch, message), dispatch.reason.text)

    async def deliver_notice(self, dispatch: NoticeDispatch) -> Delivery:
        """Post the digest as a new message, with fewer incidents if it would be too long."""
        message = write_digest(dispatch)
        if len(orjson.dumps(_content(message)).decode()) >= MESSAGE_LENGTH_MAX:
            message = write_digest(dispatch, SHORT_DIGEST_LINES)
        return await self._attempt(self._post(message), dispatch.reason.text)

    async def _attempt(self, posted: Awaitable[str], reason: str) -> Delivery:
        try:
            reference = await posted
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        except RequestRefused as refused:
            return refused.delivery
        return Delivery("sent", reason, 1, sent_at=int(self._clock() * 1000), reference=reference)

    async def _publish(self, dispatch: Dispatch, message: IncidentMessage) -> str:
        """Return the reference of the message: the channel and the timestamp.

        The edit comes first, because repeating it changes nothing. A crash repeats at most the reply.
        """
        channel, _, timestamp = dispatch.reference.partition(":")
        if timestamp and await self._edit(channel, timestamp, message):
            reply = {"channel": channel, "thread_ts": timestamp, **_reply(message)}
            await self._call("chat.postMessage", reply)
            return dispatch.reference
        return await self._post(message)

    async def _post(self, message: IncidentMessage) -> str:
        """Post a new message, and return its reference, or nothing by a webhook."""
        if self._settings.is_webhook:
            return await self._post_by_webhook(message)
        answer = await self._call("chat.postMessage", {"channel": self._settings.channel, **_content(message)})
        return f"{answer.get('channel')}:{answer.get('ts')}"

    async def _edit(self, channel: str, timestamp: str, message: IncidentMessage) -> bool:
        """Return whether the message could be edited. Somebody may have deleted it."""
        try:
            await self._call("chat.update", {"channel": channel, "ts": timestamp, "parse": "none", **_content(message)})
        except RequestRefused as refused:
            if refused.code not in NOT_EDITABLE:
                raise
            return False
        return True

    async def _call(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the Web API, and return its answer."""
        token = read_secret(self._settings.token, self._settings.token_file, "token")
        url = f"{self._settings.api_url.rstrip('/')}/{method}"
        headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}"}
        answer = await self._request(url, headers, arguments)
        body = answer.json()
        if not isinstance(body, dict):
            raise RequestRefused(
                Delivery("retry", f"{answer.origin} did not answer with a JSON object: check api_url", 1)
            )
        if body.get("ok") is not True:
            raise _refusal(answer, str(body.get("error")))
        return body

    async def _post_by_webhook(self, message: IncidentMessage) -> str:
        url = read_web_address(self._settings.url, self._settings.url_file)
        await self._request(url, {"Content-Type": CONTENT_TYPE}, _content(message))
        return ""

    async def _request(self, url: str, headers: dict[str, str], content: dict[str, Any]) -> HttpAnswer:
        answer = await self._client.request("POST", url, headers, orjson.dumps(content))
        if not isinstance(answer, HttpAnswer):
            raise RequestRefused(answer)
        if not answer.is_success:
            error = answer.body.decode(errors="replace").strip()
            raise RequestRefused(answer.failure(_explain(error) if _ERROR_NAME.fullmatch(error) else ""))
        return answer


def _refusal(answer: HttpAnswer, error: str) -> RequestRefused:
    name = error if _ERROR_NAME.fullmatch(error) else "unknown error"
    problem = f"{answer.origin} refused the message ({_explain(name)})"
    if error in TEMPORARY:
        return RequestRefused(Delivery("retry", problem, 1, retry_after_s=answer.retry_after_s), error)
    return RequestRefused(Delivery("failed", problem, 1), error)


def _explain(error: str) -> str:
    return f"{error}: {_SOLUTIONS[error]}" if error in _SOLUTIONS else error


def _content(message: IncidentMessage) -> dict[str, Any]:
    """Return the message as blocks, and as a text for notifications and for clients without blocks.

    If the message would be too long, the last links are left out.
    """
    header = {"type": "header", "text": {"type": "plain_text", "text": message.headline, "emoji": False}}
    content = {"text": _summary(message), "blocks": [header, {"type": "rich_text", "elements": _body(message)}]}
    if message.links and len(orjson.dumps(content).decode()) >= MESSAGE_LENGTH_MAX:
        return _content(replace(message, links=message.links[:-1]))
    return content


def _reply(message: IncidentMessage) -> dict[str, Any]:
    elements = [_section(_text(f"{message.headline}\n", bold=True), _text(message.news or "notified again"))]
    return {"text": _summary(message), "blocks": [{"type": "rich_text", "elements": elements}]}


def _summary(message: IncidentMessage) -> str:
    """Return the headline and the news as text in which nothing is a mention or a link.

    >>> _summary(IncidentMessage("P1 open: <!here>", "a & b", (), (), ()))
    'P1 open: &lt;!here&gt; (a &amp; b)'
    """
    text = f"{message.headline} ({message.news})" if message.news else message.headline
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _body(message: IncidentMessage) -> list[dict[str, Any]]:
    lines = [_text(f"{message.news}\n", bold=True)] if message.news else []
    for fact in message.facts:
        lines += [_text(f"{fact.label}: ", bold=True), _text(f"{fact.text}\n")]
    elements = [_section(*lines)]
    for action in message.actions:
        elements.append(_section(_text(f"{action.text}{':' if action.command else ''}\n")))
        if action.command:
            elements.append({"type": "rich_text_preformatted", "elements": [_text(action.command)]})
    links: list[dict[str, Any]] = []
    for link in message.links:
        links += [_text(" · "), {"type": "link", "url": link.url, "text": link.label}]
    return [*elements, *([_section(*links[1:])] if links else [])]


def _section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})}
