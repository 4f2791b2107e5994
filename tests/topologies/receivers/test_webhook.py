import asyncio
import socket
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.reasons import Reason
from pipeline.route.settings import ReceiverSettings
from schemas.incident import Incident
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.topologies.endpoint import Endpoint, run_endpoint
from topologies.receivers.webhook import CONTENT_TYPE, WebhookReceiver

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


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with run_endpoint() as running:
        yield running


class FakeTime:
    """A clock that advances only by ``sleep``, and the list of pauses. The wall clock can be off by ``wall_jump_s``."""

    def __init__(self) -> None:
        self.now = NOW_S
        self.wall_jump_s = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


async def deliver(url: str, time: FakeTime, *, jitter: float = 0.0, **settings: Any) -> Delivery:
    receiver = WebhookReceiver(
        ReceiverSettings(name="hook", kind="webhook", url=url, **settings),
        clock=lambda: time.now + time.wall_jump_s,
        monotonic=lambda: time.now,
        sleep=time.sleep,
        jitter=lambda: jitter,
    )
    return await receiver.deliver(DISPATCH)


async def test_the_incident_arrives_as_a_structured_cloud_event(endpoint):
    delivery = await deliver(endpoint.url, FakeTime())
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


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
async def test_a_jump_of_the_wall_clock_does_not_end_the_attempts(endpoint, jump_s):
    class JumpingTime(FakeTime):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            self.wall_jump_s = jump_s

    endpoint.answers = [503, 503, 200]
    delivery = await deliver(endpoint.url, JumpingTime())
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_status_is_a_success(endpoint, status):
    endpoint.answers = [status]
    assert (await deliver(endpoint.url, FakeTime())).outcome == "sent"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_failing_server_gets_the_same_event_again(endpoint, status):
    endpoint.answers = [status, status, 200]
    time = FakeTime()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)
    assert time.pauses == [0.5, 1.0]
    assert delivery.sent_at == int((NOW_S + 1.5) * 1000)
    assert [event["id"] for _, event in endpoint.requests] == ["inc-3f9a21c0b7:1:hook"] * 3


async def test_pauses_double_up_to_a_limit_and_jitter_at_most_halves_them(endpoint):
    endpoint.answers = [500]
    longest, shortest = FakeTime(), FakeTime()
    await deliver(endpoint.url, longest, attempts_max=7, give_up_after_s=600)
    await deliver(endpoint.url, shortest, attempts_max=7, give_up_after_s=600, jitter=0.999999)
    assert longest.pauses == [0.5, 1, 2, 4, 8, 10]
    assert shortest.pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 5], rel=1e-4)


@pytest.mark.parametrize("header", ["7", formatdate(NOW_S + 7, usegmt=True)])
async def test_a_pause_that_the_server_requests_is_respected(endpoint, header):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    endpoint.answers = [later, 200]
    time = FakeTime()
    assert (await deliver(endpoint.url, time)).outcome == "sent"
    assert time.pauses == [7.0]


@pytest.mark.parametrize("header", ["soon", "-3", "", "0", "1e3", "Thu, 99 Foo 2026 00:00:00 GMT", "²"])
async def test_an_invalid_retry_after_is_ignored(endpoint, header):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": header})

    endpoint.answers = [later, 200]
    time = FakeTime()
    assert (await deliver(endpoint.url, time)).outcome == "sent"
    assert time.pauses == [0.5]


async def test_a_requested_pause_beyond_the_time_limit_fails_at_once(endpoint):
    async def tomorrow(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "86400"})

    endpoint.answers = [tomorrow]
    time = FakeTime()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts, time.pauses) == ("failed", 1, [])
    assert "answered 429; the next attempt, in 86400.0 s, would exceed give_up_after_s" in delivery.reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 301, 302, 307, 304])
async def test_a_status_that_a_retry_would_not_change_is_final(endpoint, status):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": endpoint.url})

    endpoint.answers = [refuse]
    time = FakeTime()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts, delivery.sent_at, time.pauses) == ("failed", 1, None, [])
    assert delivery.reason.endswith(f"answered {status}, which a retry would not change")
    assert len(endpoint.requests) == 1


async def test_a_server_that_keeps_failing_fails_after_the_last_attempt(endpoint):
    endpoint.answers = [500]
    delivery = await deliver(endpoint.url, FakeTime(), attempts_max=3)
    assert (delivery.outcome, delivery.attempts) == ("failed", 3)
    assert delivery.reason.endswith("answered 500; no success after attempt 3")
    assert len(endpoint.requests) == 3


async def test_a_closed_port_is_retried_and_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        delivery = await deliver(f"http://127.0.0.1:{port}/in", FakeTime(), attempts_max=2)
    assert (delivery.outcome, delivery.attempts) == ("failed", 2)
    assert (
        delivery.reason
        == f"http://127.0.0.1:{port} cannot be reached (ConnectionRefusedError); no success after attempt 2"
    )


async def test_an_unknown_host_is_named():
    delivery = await deliver("http://nobody.invalid/in", FakeTime(), attempts_max=1)
    assert delivery.reason == "http://nobody.invalid cannot be reached (unknown host); no success after attempt 1"


async def test_a_slow_server_is_retried_after_the_timeout(endpoint):
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    endpoint.answers = [hang, 200]
    time = FakeTime()
    delivery = await deliver(endpoint.url, time, timeout_s=0.2)
    released.set()
    assert (delivery.outcome, delivery.attempts, time.pauses) == ("sent", 2, [0.5])


async def test_a_server_that_closes_the_connection_is_retried(endpoint):
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    endpoint.answers = [hang_up, 200]
    assert (await deliver(endpoint.url, FakeTime())).attempts == 2


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_the_secret_parts_of_the_address_are_used_but_never_shown(endpoint, status, caplog):
    endpoint.answers = [status]
    url = endpoint.url.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
    caplog.set_level("DEBUG")
    delivery = await deliver(url, FakeTime(), attempts_max=2)
    headers, _ = endpoint.requests[0]
    assert headers["Authorization"].startswith("Basic ")
    assert SECRET not in delivery.reason
    assert SECRET not in caplog.text
    assert "/in" not in delivery.reason


async def test_the_secret_parts_of_an_unreachable_address_are_not_shown():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/{SECRET}?token={SECRET}"
        delivery = await deliver(url, FakeTime(), attempts_max=1)
    assert delivery.outcome == "failed"
    assert SECRET not in delivery.reason


async def test_a_server_without_tls_at_an_https_address_fails_without_a_retry(endpoint):
    delivery = await deliver(endpoint.url.replace("http:", "https:"), FakeTime())
    assert (delivery.outcome, delivery.attempts) == ("failed", 1)
    assert "cannot be used" in delivery.reason


def test_a_webhook_without_a_url_is_rejected():
    with pytest.raises(ValueError, match="needs a url"):
        WebhookReceiver(
            ReceiverSettings(name="hook", kind="console"),
            clock=lambda: 0.0,
            monotonic=lambda: 0.0,
            sleep=asyncio.sleep,
            jitter=lambda: 0.0,
        )
