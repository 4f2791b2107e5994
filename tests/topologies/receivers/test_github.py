from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import GitHubSettings
from schemas.incident import Containment
from tests.pipeline.route.samples import STARTED, alert, evidence, incident
from tests.topologies.receivers.github_server import REPOSITORY, TOKEN, run_github
from topologies.receivers.github import GitHubReceiver
from topologies.receivers.http import HttpClient

NOW_S = 1_795_489_961.0
OPENED = Dispatch(
    incident(),
    "tickets",
    "all",
    Reason("first_notification", "new to the receiver: P3 open"),
    alert(incident()),
    STARTED,
)
MARKER = "<!-- driftwire inc-3f9a21c0b7 -->"


def later(reference, reason="severity P3 -> P2", **changes):
    revision = incident(**({"revision": 2, "severity": "P2"} | changes))
    return Dispatch(
        revision, "tickets", "all", Reason("severity_changed", reason), alert(revision), STARTED, reference=reference
    )


@pytest_asyncio.fixture
async def github():
    async with run_github() as server:
        yield server


def receiver(server, **settings):
    given = {"repository": REPOSITORY, "token": TOKEN, "url": server.address} | settings
    return GitHubReceiver(GitHubSettings(**given), HttpClient(5.0, lambda: NOW_S), clock=lambda: NOW_S)


async def test_a_new_incident_opens_one_issue_with_the_label_of_the_receiver(github):
    delivery = await receiver(github, labels=["incident", "on-call"]).deliver(OPENED)
    assert delivery == Delivery("sent", OPENED.reason.text, 1, sent_at=int(NOW_S * 1000), reference="1")
    (issue,) = github.issues
    assert issue["title"] == "P3 open: support-bot refuses 9.1 % of requests"
    assert issue["labels"] == ["driftwire", "incident", "on-call"]
    assert issue["body"].endswith(f"\n\n{MARKER}\n")
    assert "```\ndriftwire incident ack inc-3f9a21c0b7\n```" in issue["body"]
    assert github.calls == ["GET ", "POST "]


async def test_a_later_notification_comments_on_the_issue_and_corrects_its_title(github):
    tickets = receiver(github)
    first = await tickets.deliver(OPENED)
    second = await tickets.deliver(later(first.reference))
    assert (second.outcome, second.reference) == ("sent", "1")
    (issue,) = github.issues
    assert (issue["title"], issue["state"]) == ("P2 open: support-bot refuses 9.1 % of requests", "open")
    ((number, body),) = github.comments
    assert number == 1
    assert body.startswith("**severity P3 -> P2**\n")


async def test_the_issue_is_closed_at_the_end_and_reopened_with_the_incident(github):
    tickets = receiver(github)
    first = await tickets.deliver(OPENED)
    end = {"status": "resolved", "resolved_at": STARTED + 600_000}
    await tickets.deliver(later(first.reference, "status open -> resolved", **end))
    (issue,) = github.issues
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert issue["title"].startswith("P2 resolved: ")
    await tickets.deliver(later(first.reference, "status resolved -> open"))
    assert (issue["state"], issue["state_reason"]) == ("open", "reopened")
    assert len(github.comments) == 2


async def test_a_crash_after_opening_the_issue_opens_no_second_one(github):
    await receiver(github).deliver(OPENED)
    again = await receiver(github).deliver(OPENED)
    assert (again.outcome, again.reference) == ("sent", "1")
    assert len(github.issues) == 1
    assert github.comments == []


async def test_a_crash_after_opening_the_issue_does_not_lose_newer_news(github):
    await receiver(github).deliver(OPENED)
    await receiver(github).deliver(later("", "status open -> resolved", status="resolved"))
    (issue,) = github.issues
    assert issue["state"] == "closed"
    assert len(github.comments) == 1


async def test_the_issue_of_another_incident_is_not_taken(github):
    await receiver(github).deliver(OPENED)
    other = incident(incident_id="inc-3f9a21c0b")
    assert (await receiver(github).deliver(replace(OPENED, incident=other))).reference == "2"


@pytest.mark.parametrize("identifier", ["inc --> <b>x</b>", "inc\n#1", "é" * 100])
async def test_a_strange_id_stays_inside_its_comment_and_is_found_again(github, identifier):
    dispatch = replace(OPENED, incident=incident(incident_id=identifier))
    assert [(await receiver(github).deliver(dispatch)).reference for _ in range(2)] == ["1", "1"]
    last_line = github.issues[0]["body"].splitlines()[-1]
    assert last_line.startswith("<!-- driftwire ")
    assert last_line.find("-->") == len(last_line) - 3


async def test_an_incident_that_is_over_when_its_issue_is_opened_gets_a_closed_issue(github):
    delivery = await receiver(github).deliver(later("", "instead of on-call", status="resolved"))
    assert (delivery.outcome, github.issues[0]["state"]) == ("sent", "closed")


@pytest.mark.parametrize("status", [301, 404, 410])
async def test_an_issue_that_was_deleted_or_transferred_is_opened_again(github, status):
    tickets = receiver(github)
    github.plans = [status]
    delivery = await tickets.deliver(later("7"))
    assert (delivery.outcome, delivery.reference) == ("sent", "1")
    assert github.calls == ["PATCH /7", "GET ", "POST "]


async def test_a_failed_comment_is_repeated_alone_in_its_effect(github):
    tickets = receiver(github)
    first = await tickets.deliver(OPENED)
    github.plans = [None, 502]
    assert (await tickets.deliver(later(first.reference))).outcome == "retry"
    assert (await tickets.deliver(later(first.reference))).outcome == "sent"
    assert len(github.comments) == 1


@pytest.mark.parametrize(
    ("status", "headers", "message", "pause_s"),
    [
        (
            403,
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW_S) + 900)},
            "API rate limit exceeded",
            900,
        ),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW_S) - 5)}, "API rate limit exceeded", 1),
        (403, {"Retry-After": "30", "x-ratelimit-remaining": "4000"}, "You have exceeded a secondary rate limit", 30),
        (403, {}, "You have exceeded a secondary rate limit. Please wait a few minutes", 60),
        (429, {"x-ratelimit-remaining": "0"}, "too many", 60),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, "too many", 60),
    ],
)
async def test_a_rate_limit_is_a_pause_and_no_refusal(github, status, headers, message, pause_s):
    async def limit(_):
        return web.json_response({"message": message}, status=status, headers=headers)

    github.plans = [limit]
    reason = f"{github.address} answered {status}: the rate limit is exceeded"
    assert await receiver(github).deliver(OPENED) == Delivery("retry", reason, 1, retry_after_s=float(pause_s))


@pytest.mark.parametrize(
    ("status", "solution"),
    [
        (401, "set a valid token"),
        (403, "give the token read and write access to the issues"),
        (404, "correct the repository"),
        (410, "enable issues in the repository"),
        (422, "planned 422"),
    ],
)
async def test_a_refusal_that_a_retry_would_not_change_says_what_to_do(github, status, solution):
    github.plans = [None, status]
    delivery = await receiver(github).deliver(OPENED)
    assert delivery.outcome == "failed"
    assert delivery.reason.startswith(f"{github.address} answered {status} (planned {status}")
    assert solution in delivery.reason


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_server_can_be_tried_again(github, status):
    github.plans = [status]
    assert (await receiver(github).deliver(OPENED)).outcome == "retry"


async def test_a_validation_error_names_the_first_field(github):
    async def invalid(_):
        errors = [{"resource": "Issue", "code": "custom", "field": "title", "message": "title is too long"}]
        return web.json_response({"message": "Validation Failed", "errors": errors}, status=422)

    github.plans = [None, invalid]
    delivery = await receiver(github).deliver(OPENED)
    assert delivery.outcome == "failed"
    assert "(Validation Failed, title is too long)" in delivery.reason


@pytest.mark.parametrize("body", [b"<html>", b"{}", b""])
async def test_an_answer_that_is_not_from_github_can_be_tried_again(github, body):
    async def proxy(_):
        return web.Response(body=body)

    github.plans = [proxy]
    delivery = await receiver(github).deliver(OPENED)
    assert (delivery.outcome, delivery.reason) == (
        "retry",
        f"{github.address} did not answer as GitHub does: check url",
    )


async def test_the_token_and_the_repository_are_never_shown(github, caplog, tmp_path):
    caplog.set_level("DEBUG")
    path = tmp_path / "token"
    tickets = receiver(github, token=None, token_file=str(path))
    missing = await tickets.deliver(OPENED)
    assert missing == Delivery("retry", f"cannot use the token_file {path}: No such file or directory", 1)
    path.write_text("github_pat_wrong")
    delivery = await tickets.deliver(OPENED)
    assert delivery.outcome == "failed"
    assert "github_pat" not in delivery.reason + caplog.text


async def test_names_from_records_mention_nobody(github):
    name = "@octocat #1 acme/incidents#1 <img src=x> https://evil.example"
    revision = incident(title=name, evidence=[evidence("silence", channel="silence", sentence=name)])
    await receiver(github).deliver(replace(OPENED, incident=revision))
    body = github.issues[0]["body"]
    for part in ("@octocat", "#1", " <img", "://evil"):
        assert part not in body


@pytest.mark.parametrize("character", ["x", "*", "€"])
async def test_the_longest_message_is_within_the_limits_of_github(github, character):
    long = character * 2000
    revision = incident(
        title=long,
        evidence=[evidence("silence", channel="silence", sentence=long)] * 9,
        containment=[Containment(rank=rank, action="filter", target=long, reason=long) for rank in range(9)],
        runbook=f"https://runbooks.example.org/{long}",
    )
    assert (await receiver(github).deliver(replace(OPENED, incident=revision))).outcome == "sent"


@pytest.mark.parametrize("repository", ["acme", "acme/a/b", "../x", "acme/", "a b/c", "acme/x?y", "acme/x\n"])
def test_a_repository_is_an_owner_and_a_name(repository):
    with pytest.raises(ValueError, match="repository"):
        GitHubSettings(repository=repository, token="t")
