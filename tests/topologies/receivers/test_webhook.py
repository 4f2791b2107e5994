import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import WebhookReceiverSettings, decode_signing_key
from schemas.incident import DraftFacts, Incident
from schemas.notice import Digest
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.topologies.endpoint import Endpoint, run_endpoint
from tests.topologies.messages import digests
from topologies.receivers.http import HttpClient
from topologies.receivers.webhook import CONTENT_TYPE, WebhookReceiver, cloud_event, message_id, signature_headers

NOW_S = 1_795_489_961.0
DISPATCH = Dispatch(
    incident(),
    "hook",
    "urgent",
    Reason("first_notification", "new to the receiver: P3 open"),
    alert(incident()),
    STARTED,
)
SECRET = "hunter2"
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVERS_PAGE = Path(__file__).parents[3] / "docs/receivers.md"


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with run_endpoint() as running:
        yield running


def webhook(timeout_s: float = 10.0, **settings: Any) -> WebhookReceiver:
    return WebhookReceiver(
        WebhookReceiverSettings(**settings), HttpClient(timeout_s, lambda: NOW_S), clock=lambda: NOW_S
    )


async def deliver(url: str, timeout_s: float = 10.0) -> Delivery:
    return await webhook(timeout_s, url=url).deliver(DISPATCH)


async def test_the_incident_arrives_as_a_structured_cloud_event(endpoint):
    delivery = await deliver(endpoint.url)
    assert delivery == Delivery("sent", "new to the receiver: P3 open", 1, sent_at=int(NOW_S * 1000))
    ((headers, event),) = endpoint.requests
    assert headers["Content-Type"] == CONTENT_TYPE == "application/cloudevents+json; charset=utf-8"
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "inc-3f9a21c0b7:1:hook",
        "source": "urn:driftwire:route",
        "type": "org.driftwire.incident.v1",
        "subject": "support-bot",
        "time": "2026-11-24T03:12:41.000Z",
        "datacontenttype": "application/json",
    }
    assert Incident.from_json(orjson.dumps(data)) == incident()


def test_the_event_contains_the_drafts_in_place_of_the_facts_for_them():
    facts = DraftFacts(failure_mode="refusal_spike", share="9.1 % of the requests", products="our assistant")
    event = cloud_event(replace(DISPATCH, incident=incident(severity="P2", draft_facts=facts)))
    assert [draft["audience"] for draft in event["data"]["drafts"]] == ["internal", "external"]
    assert "9.1 % of the requests" in event["data"]["drafts"][0]["text"]
    assert "draft_facts" not in event["data"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_status_is_a_success(endpoint, status):
    endpoint.answers = [status]
    assert (await deliver(endpoint.url)).outcome == "sent"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429])
async def test_a_failing_server_can_be_tried_again_later(endpoint, status):
    endpoint.answers = [status]
    assert await deliver(endpoint.url) == Delivery("retry", f"{endpoint.url.removesuffix('/in')} answered {status}", 1)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("header", ["7", formatdate(NOW_S + 7, usegmt=True)])
async def test_a_pause_that_the_server_requests_is_passed_on(endpoint, header):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    endpoint.answers = [later]
    delivery = await deliver(endpoint.url)
    assert (delivery.outcome, delivery.retry_after_s) == ("retry", 7.0)


@pytest.mark.parametrize("header", ["soon", "-3", "", "0", "1e3", "Thu, 99 Foo 2026 00:00:00 GMT", "²"])
async def test_an_invalid_retry_after_is_ignored(endpoint, header):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": header})

    endpoint.answers = [later]
    delivery = await deliver(endpoint.url)
    assert (delivery.outcome, delivery.retry_after_s) == ("retry", 0.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 301, 302, 307, 304])
async def test_a_status_that_a_retry_would_not_change_is_final(endpoint, status):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": endpoint.url})

    endpoint.answers = [refuse]
    delivery = await deliver(endpoint.url)
    assert (delivery.outcome, delivery.attempts, delivery.sent_at) == ("failed", 1, None)
    assert delivery.reason.endswith(f"answered {status}, which a retry would not change")
    assert len(endpoint.requests) == 1


async def test_a_closed_port_is_named_and_can_be_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        delivery = await deliver(f"http://127.0.0.1:{port}/in")
    reason = f"http://127.0.0.1:{port} cannot be reached (ConnectionRefusedError)"
    assert delivery == Delivery("retry", reason, 1)


async def test_an_unknown_host_is_named_and_can_be_tried_again():
    delivery = await deliver("http://nobody.invalid/in")
    assert delivery == Delivery("retry", "http://nobody.invalid cannot be reached (unknown host)", 1)


async def test_a_server_that_does_not_answer_in_time_can_be_tried_again(endpoint):
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    endpoint.answers = [hang]
    delivery = await deliver(endpoint.url, timeout_s=0.2)
    released.set()
    assert (delivery.outcome, delivery.reason.rpartition(" did ")[2]) == ("retry", "not answer within 0.2 s")


async def test_a_server_that_closes_the_connection_can_be_tried_again(endpoint):
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    endpoint.answers = [hang_up]
    assert (await deliver(endpoint.url)).outcome == "retry"


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_the_secret_parts_of_the_address_are_used_but_never_shown(endpoint, status, caplog):
    endpoint.answers = [status]
    url = endpoint.url.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
    caplog.set_level("DEBUG")
    delivery = await deliver(url)
    headers, _ = endpoint.requests[0]
    assert headers["Authorization"].startswith("Basic ")
    assert SECRET not in delivery.reason
    assert SECRET not in caplog.text
    assert "/in" not in delivery.reason


async def test_the_secret_parts_of_an_unreachable_address_are_not_shown():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/{SECRET}?token={SECRET}"
        delivery = await deliver(url)
    assert delivery.outcome == "retry"
    assert SECRET not in delivery.reason


async def test_a_server_whose_tls_cannot_be_trusted_can_be_tried_again(endpoint):
    delivery = await deliver(endpoint.url.replace("http:", "https:"))
    assert (delivery.outcome, delivery.attempts) == ("retry", 1)
    assert "cannot be trusted" in delivery.reason
    assert "check its certificate" in delivery.reason


async def test_the_address_is_read_from_its_file_for_each_attempt_and_never_shown(endpoint, tmp_path):
    path = tmp_path / "url"
    receiver = webhook(url_file=str(path))
    missing = await receiver.deliver(DISPATCH)
    assert missing == Delivery("retry", f"cannot use the url_file {path}: No such file or directory", 1)
    path.write_text(f"ftp://{SECRET}")
    wrong = await receiver.deliver(DISPATCH)
    reason = f"cannot use the url_file {path}: it must contain an http or https address with a host"
    assert wrong == Delivery("retry", reason, 1)
    path.write_text(endpoint.url + "\n")
    assert (await receiver.deliver(DISPATCH)).outcome == "sent"


@pytest.mark.parametrize("addresses", [{}, {"url": "http://a.example.org", "url_file": "url"}])
def test_a_webhook_needs_one_address(addresses):
    with pytest.raises(ValueError, match="set either url or url_file"):
        WebhookReceiverSettings(**addresses)


async def test_variables_in_an_address_are_read_from_the_environment(endpoint, monkeypatch):
    receiver = webhook(url="${HOOK_URL}?token=${HOOK_TOKEN}")
    missing = await receiver.deliver(DISPATCH)
    assert missing == Delivery("retry", "cannot use url: the environment variable HOOK_URL is not set", 1)
    monkeypatch.setenv("HOOK_URL", endpoint.url)
    monkeypatch.setenv("HOOK_TOKEN", "token")
    assert (await receiver.deliver(DISPATCH)).outcome == "sent"


def test_the_signature_is_that_of_the_published_example():
    key = decode_signing_key(SIGNING_SECRET)
    headers = signature_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def documented_verification(now_s: float) -> Any:
    """The function for receivers in the documentation, at a time of its clock."""
    (code,) = re.findall(r"```python\n(.*?)```", RECEIVERS_PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    names["time"] = type("Clock", (), {"time": staticmethod(lambda: now_s)})
    return names["is_genuine"]


async def test_the_documented_function_verifies_a_request_and_rejects_changes(endpoint):
    received: list[tuple[Any, bytes]] = []

    async def store(request: web.Request) -> web.Response:
        received.append((request.headers.copy(), await request.read()))
        return web.Response()

    endpoint.answers = [store]
    assert (await webhook(url=endpoint.url, secret=SIGNING_SECRET).deliver(DISPATCH)).outcome == "sent"
    ((headers, body),) = received
    is_genuine = documented_verification(NOW_S + 299)
    assert is_genuine(headers, body, SIGNING_SECRET)
    assert is_genuine(headers, body, SIGNING_SECRET.removeprefix("whsec_"))
    assert not is_genuine(headers, body + b" ", SIGNING_SECRET)
    assert not is_genuine(headers, body, "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    for name, value in {"webhook-id": "another", "webhook-timestamp": str(int(NOW_S) + 1)}.items():
        changed = headers.copy()
        changed[name] = value
        assert not is_genuine(changed, body, SIGNING_SECRET)
    assert not documented_verification(NOW_S + 301)(headers, body, SIGNING_SECRET)
    assert unquote(headers["webhook-id"]) == DISPATCH.notification_id == orjson.loads(body)["id"]


async def test_a_later_attempt_has_the_same_id_and_a_new_time(endpoint):
    clock = [NOW_S]
    settings = WebhookReceiverSettings(url=endpoint.url, secret=SIGNING_SECRET)
    receiver = WebhookReceiver(settings, HttpClient(10.0, lambda: NOW_S), clock=lambda: clock[0])
    for _ in range(2):
        await receiver.deliver(DISPATCH)
        clock[0] += 60
    (first, _), (second, _) = endpoint.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_message_id_is_ascii_without_the_full_stop_that_separates_signed_parts():
    text = "inc-1:1.2:bereitschaft ü\r\nX-Evil: 1"
    assert re.fullmatch(r"[\w:%-]+", message_id(text), re.ASCII)
    assert unquote(message_id(text)) == text


async def test_without_a_key_requests_are_not_signed(endpoint):
    await deliver(endpoint.url)
    ((headers, _),) = endpoint.requests
    assert not [name for name in headers if name.lower().startswith("webhook-")]


async def test_the_key_is_read_from_its_file_for_each_attempt(endpoint, tmp_path):
    path = tmp_path / "key"
    receiver = webhook(url=endpoint.url, secret_file=str(path))
    assert (await receiver.deliver(DISPATCH)).reason == f"cannot use the secret_file {path}: No such file or directory"
    path.write_text(SECRET)
    wrong = await receiver.deliver(DISPATCH)
    assert wrong.reason == (
        f"cannot use the secret_file {path}: it must be 24 to 64 random bytes in base64; create it with openssl rand "
        "-base64 32"
    )
    path.write_text(f"{SIGNING_SECRET}\n")
    assert (await receiver.deliver(DISPATCH)).outcome == "sent"
    assert "webhook-signature" in endpoint.requests[0][0]


@pytest.mark.parametrize("secret", [SECRET, "", "whsec_", "whsec_ü", "QUFB", "A" * 100, "whsec_MfKQ9r8GKYqrTwj!"])
def test_a_key_that_cannot_sign_is_refused_and_not_repeated(secret):
    with pytest.raises(ValueError, match="cannot use secret: it must be 24 to 64 random bytes in base64") as error:
        WebhookReceiverSettings(url="https://example.org", secret=secret)
    assert len(secret) < 2 or secret not in str(error.value)


async def test_headers_of_the_user_are_sent_with_variables_and_never_shown(endpoint, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    receiver = webhook(url=endpoint.url, headers={"Authorization": "Bearer ${HOOK_TOKEN}", "X-Team": "on call"})
    missing = await receiver.deliver(DISPATCH)
    reason = "cannot use headers.Authorization: the environment variable HOOK_TOKEN is not set"
    assert missing == Delivery("retry", reason, 1)
    monkeypatch.setenv("HOOK_TOKEN", SECRET)
    assert (await receiver.deliver(DISPATCH)).outcome == "sent"
    ((headers, _),) = endpoint.requests
    assert (headers["Authorization"], headers["X-Team"]) == (f"Bearer {SECRET}", "on call")
    assert headers["Content-Type"] == CONTENT_TYPE
    assert SECRET not in caplog.text


async def test_a_variable_cannot_add_a_header(endpoint, monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", f"{SECRET}\r\nX-Evil: 1")
    delivery = await webhook(url=endpoint.url, headers={"X-Token": "${HOOK_TOKEN}"}).deliver(DISPATCH)
    reason = "cannot use headers.X-Token: it must be visible ASCII characters, on one line"
    assert (delivery, endpoint.requests) == (Delivery("retry", reason, 1), [])


async def test_a_user_in_the_address_and_an_authorization_contradict_each_other(endpoint):
    url = endpoint.url.replace("http://", f"http://user:{SECRET}@")
    delivery = await webhook(url=url, headers={"authorization": "Bearer x"}).deliver(DISPATCH)
    reason = "cannot use headers.authorization: the address contains a user; remove one of them"
    assert (delivery, endpoint.requests) == (Delivery("retry", reason, 1), [])


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type is set by driftwire: remove it"),
        ({"host": "example.org"}, "host is set by driftwire: remove it"),
        ({"Content-Length": "3"}, "Content-Length is set by driftwire: remove it"),
        ({"Webhook-Signature": "v1,"}, "Webhook-Signature is set by driftwire: remove it"),
        ({"X Team": "a"}, "'X Team' is not a valid header name: use letters, digits and hyphens"),
        ({"X-Team\r\n": "a"}, "is not a valid header name"),
        ({"": "a"}, "'' is not a valid header name"),
        ({"X-Team": SECRET + "\n"}, "the value of X-Team must be visible ASCII characters, on one line"),
        ({"X-Team": SECRET + "ü"}, "the value of X-Team must be visible ASCII characters, on one line"),
        ({"X-Team": ""}, "the value of X-Team must be visible ASCII characters, on one line"),
        ({"X-Team": "a", "x-team": "b"}, "two names differ only in upper and lower case: remove one of them"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_and_its_value_not_repeated(headers, problem):
    with pytest.raises(ValueError, match="headers") as error:
        WebhookReceiverSettings(url="https://example.org", headers=headers)
    assert problem in str(error.value)
    assert SECRET not in str(error.value)


async def test_a_digest_arrives_as_a_signed_cloud_event_of_its_own_type(endpoint):
    dispatch = digests.dispatch(receiver="hook")
    delivery = await webhook(url=endpoint.url, secret=SIGNING_SECRET).deliver_notice(dispatch)
    assert delivery == Delivery("sent", "the digest of 2026-11-25 is due", 1, sent_at=int(NOW_S * 1000))
    ((headers, event),) = endpoint.requests
    assert headers["webhook-id"] == "digest:morning:2026-11-25:hook"
    assert headers["webhook-signature"].startswith("v1,")
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "digest:morning:2026-11-25:hook",
        "source": "urn:driftwire:route",
        "type": "org.driftwire.digest.v1",
        "subject": "morning",
        "time": "2026-11-25T03:12:00.000Z",
        "datacontenttype": "application/json",
    }
    assert Digest.from_json(orjson.dumps(data)) == digests.digest()


@pytest.mark.parametrize(("status", "outcome"), [(503, "retry"), (404, "failed")])
async def test_a_digest_that_is_not_accepted_is_retried_or_refused_as_an_incident_is(endpoint, status, outcome):
    endpoint.answers = [status]
    delivery = await webhook(url=endpoint.url).deliver_notice(digests.dispatch(receiver="hook"))
    assert delivery.outcome == outcome
