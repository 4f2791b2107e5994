"""GitHub receiver: one issue per incident, opened once, commented on by later notifications, and closed at the end.

Source: GitHub's documentation of the REST API, version 2022-11-28: issues, comments, rate limits.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from pipeline.plain_text import plain_text
from pipeline.route import Delivery, Dispatch
from pipeline.route.receiver_settings import GitHubSettings
from schemas.incident import CLOSED
from topologies.messages import render_markdown, write_message
from topologies.receivers.http import HttpAnswer, HttpClient, RequestRefused
from topologies.receivers.secret import SecretUnavailable, read_secret

API_VERSION = "2022-11-28"

LABEL = "driftwire"
"""Label of all issues of this receiver."""

SEARCHED_MAX = 100
"""Number of newest issues that are searched for the issue of an incident. It is the page size of GitHub."""

PAUSE_S = 60.0
"""Seconds to wait after a rate limit answer without a time."""

_DETAIL_LENGTH_MAX = 200

_GONE = ("301", "404", "410")
"""Statuses of an update after which a new issue is opened: the issue was transferred or deleted."""

_SOLUTIONS = {
    401: "set a valid token",
    403: "give the token read and write access to the issues of the repository",
    404: "correct the repository, or give the token access to it",
    410: "enable issues in the repository",
}
"""Remedies for statuses that a retry would not change."""


class GitHubReceiver:
    """Receiver that opens, comments on, closes and reopens issues.

    Parameters
    ----------
    settings
        Settings of the repository.
    client
        Client for the requests.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: GitHubSettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Open the issue of the incident, or update it."""
        try:
            number = await self._update_known(dispatch) or await self._open(dispatch)
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        except RequestRefused as refused:
            return refused.delivery
        sent_at = int(self._clock() * 1000)
        return Delivery("sent", dispatch.reason.text, 1, sent_at=sent_at, reference=str(number))

    async def _update_known(self, dispatch: Dispatch) -> int | None:
        """Update the issue of the reference. Return its number, or None if there is none or it no longer exists."""
        if not dispatch.reference.isdecimal():
            return None
        try:
            return await self._update(int(dispatch.reference), dispatch)
        except RequestRefused as refused:
            if refused.code not in _GONE:
                raise
            return None

    async def _open(self, dispatch: Dispatch) -> int:
        """Open an issue and return its number. An issue that was opened but not recorded is updated instead."""
        known = await self._find(_marker(dispatch))
        if known is not None:
            return await self._update(known, dispatch)
        message = write_message(dispatch)
        issue = await self._call(
            "POST",
            "",
            {
                "title": message.headline,
                "body": f"{render_markdown(message)}\n\n{_marker(dispatch)}\n",
                "labels": [LABEL, *self._settings.labels],
            },
        )
        if dispatch.incident.status in CLOSED:
            await self._set_state(_number(issue), message.headline, dispatch)
        return _number(issue)

    async def _find(self, marker: str) -> int | None:
        """Return the number of the newest issue that contains the marker of the incident."""
        query = {
            "labels": LABEL,
            "state": "all",
            "sort": "created",
            "direction": "desc",
            "per_page": str(SEARCHED_MAX),
        }
        issues = await self._call("GET", f"?{urlencode(query)}")
        found = [issue for issue in issues if marker in (issue.get("body") or "") and "pull_request" not in issue]
        return _number(found[0]) if found else None

    async def _update(self, number: int, dispatch: Dispatch) -> int:
        """Update the title and state of an issue, and comment on it.

        The comment comes last, because repeating the other request changes nothing. A crash repeats at most the comment.
        """
        message = write_message(dispatch)
        await self._set_state(number, message.headline, dispatch)
        if message.news:
            await self._call("POST", f"/{number}/comments", {"body": render_markdown(message)})
        return number

    async def _set_state(self, number: int, title: str, dispatch: Dispatch) -> None:
        is_over = dispatch.incident.status in CLOSED
        state = {"state": "closed", "state_reason": "completed"} if is_over else {"state": "open"}
        await self._call("PATCH", f"/{number}", {"title": title, **state})

    async def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        """Send a request about issues, and return the JSON of the answer."""
        token = read_secret(self._settings.token, self._settings.token_file, "token")
        url = f"{self._settings.url.rstrip('/')}/repos/{self._settings.repository}/issues{path}"
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "driftwire",
        }
        body = None
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(content)
        answer = await self._client.request(method, url, headers, body)
        if not isinstance(answer, HttpAnswer):
            raise RequestRefused(answer)
        if not answer.is_success:
            raise RequestRefused(self._refusal(answer), str(answer.status))
        found = answer.json()
        if not isinstance(found, list if method == "GET" else dict):
            raise RequestRefused(Delivery("retry", f"{answer.origin} did not answer as GitHub does: check url", 1))
        return found

    def _refusal(self, answer: HttpAnswer) -> Delivery:
        """Return the outcome of a refused request. A rate limit has status 403 or 429."""
        detail = _detail(answer.json())
        is_spent = answer.headers.get("x-ratelimit-remaining") == "0"
        is_limited = is_spent or answer.retry_after_s > 0 or "rate limit" in detail.lower()
        if answer.status in (403, 429) and is_limited:
            pause_s = answer.retry_after_s or (self._until_reset(answer) if is_spent else PAUSE_S)
            problem = f"{answer.origin} answered {answer.status}: the rate limit is exceeded"
            return Delivery("retry", problem, 1, retry_after_s=pause_s)
        solution = _SOLUTIONS.get(answer.status, "")
        return answer.failure(": ".join(part for part in (detail, solution) if part))

    def _until_reset(self, answer: HttpAnswer) -> float:
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, int(reset) - self._clock()) if reset.isdecimal() else PAUSE_S


def _marker(dispatch: Dispatch) -> str:
    """Return a comment that GitHub does not show. Encoding the id keeps it inside the comment."""
    return f"<!-- driftwire {quote(dispatch.incident.incident_id, safe='')} -->"


def _number(issue: dict[str, Any]) -> int:
    return int(issue["number"])


def _detail(body: Any) -> str:
    """Return GitHub's reason, with that of the first invalid field."""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    parts = [str(part) for part in (body.get("message"), first.get("message") or first.get("code")) if part]
    return plain_text(", ".join(parts))[:_DETAIL_LENGTH_MAX]
