import asyncio
import socket
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.dispatch import Delivery, Dispatch
from pipeline.route.settings import ReceiverSettings
from schemas.incident import Incident
from tests.pipeline.route.samples import alert, incident
from tests.topologies.endpoint import Endpoint, serving
from topologies.receivers.webhook import CONTENT_TYPE, WebhookReceiver

NOW_S = 1_795_489_961.0
DISPATCH = Dispatch(incident(), "hook", "urgent", "new to the receiver: P3 open", alert(incident()))
SECRET = "hunter2"


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as served:
        yield served


class Time:
    """A clock that moves only when somebody sleeps, and what was slept."""

    def __init__(self) -> None:
        self.now = NOW_S
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def deliver(url: str, time: Time, *, jitter: float = 0.0, **settings: Any) -> Delivery:
    receiver = WebhookReceiver(
        ReceiverSettings(name="hook", kind="webhook", url=url, **settings),
        clock=lambda: time.now,
        sleep=time.sleep,
        jitter=lambda: jitter,
    )
    return await receiver.deliver(DISPATCH)


async def test_the_incident_arrives_as_a_structured_cloud_event(endpoint):
    delivery = await deliver(endpoint.url, Time())
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


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_answer_that_begins_with_2_is_taken(endpoint, status):
    endpoint.answers = [status]
    assert (await deliver(endpoint.url, Time())).outcome == "sent"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_server_in_trouble_is_asked_again_with_the_same_event(endpoint, status):
    endpoint.answers = [status, status, 200]
    time = Time()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)
    assert time.slept == [0.5, 1.0]
    assert delivery.sent_at == int((NOW_S + 1.5) * 1000)
    assert [event["id"] for _, event in endpoint.requests] == ["inc-3f9a21c0b7:1:hook"] * 3


async def test_pauses_double_up_to_a_limit_and_chance_shortens_them_by_half_at_most(endpoint):
    endpoint.answers = [500]
    longest, shortest = Time(), Time()
    await deliver(endpoint.url, longest, attempts_max=7, give_up_after_s=600)
    await deliver(endpoint.url, shortest, attempts_max=7, give_up_after_s=600, jitter=0.999999)
    assert longest.slept == [0.5, 1, 2, 4, 8, 10]
    assert shortest.slept == pytest.approx([0.25, 0.5, 1, 2, 4, 5], rel=1e-4)


@pytest.mark.parametrize("written", ["7", formatdate(NOW_S + 7, usegmt=True)])
async def test_a_pause_that_the_receiver_asks_for_is_kept(endpoint, written):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": written})

    endpoint.answers = [later, 200]
    time = Time()
    assert (await deliver(endpoint.url, time)).outcome == "sent"
    assert time.slept == [7.0]


@pytest.mark.parametrize("written", ["soon", "-3", "", "0", "1e3", "Thu, 99 Foo 2026 00:00:00 GMT", "²"])
async def test_a_pause_that_cannot_be_read_is_ours_to_choose(endpoint, written):
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": written})

    endpoint.answers = [later, 200]
    time = Time()
    assert (await deliver(endpoint.url, time)).outcome == "sent"
    assert time.slept == [0.5]


async def test_a_pause_that_would_take_too_long_is_not_waited_for(endpoint):
    async def tomorrow(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "86400"})

    endpoint.answers = [tomorrow]
    time = Time()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts, time.slept) == ("failed", 1, [])
    assert "answered 429; the next attempt would be 86400.0 s later, beyond give_up_after_s" in delivery.reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 301, 302, 307, 304])
async def test_an_answer_that_another_attempt_would_not_change_is_final(endpoint, status):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": endpoint.url})

    endpoint.answers = [refuse]
    time = Time()
    delivery = await deliver(endpoint.url, time)
    assert (delivery.outcome, delivery.attempts, delivery.sent_at, time.slept) == ("failed", 1, None, [])
    assert delivery.reason.endswith(f"answered {status}, which another attempt would not change")
    assert len(endpoint.requests) == 1


async def test_a_server_that_stays_in_trouble_is_given_up_after_the_last_attempt(endpoint):
    endpoint.answers = [500]
    delivery = await deliver(endpoint.url, Time(), attempts_max=3)
    assert (delivery.outcome, delivery.attempts) == ("failed", 3)
    assert delivery.reason.endswith("answered 500; given up after attempt 3")
    assert len(endpoint.requests) == 3


async def test_a_port_where_nobody_listens_is_tried_again_and_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        delivery = await deliver(f"http://127.0.0.1:{port}/in", Time(), attempts_max=2)
    assert (delivery.outcome, delivery.attempts) == ("failed", 2)
    assert (
        delivery.reason
        == f"http://127.0.0.1:{port} cannot be reached (ConnectionRefusedError); given up after attempt 2"
    )


async def test_a_name_that_nobody_has_is_said_to_be_unknown():
    delivery = await deliver("http://nobody.invalid/in", Time(), attempts_max=1)
    assert (
        delivery.reason == "http://nobody.invalid cannot be reached (its name is not known); given up after attempt 1"
    )


async def test_a_slow_server_is_not_waited_for_longer_than_the_time_limit(endpoint):
    hanging = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await hanging.wait()
        return web.Response()

    endpoint.answers = [hang, 200]
    time = Time()
    delivery = await deliver(endpoint.url, time, timeout_s=0.2)
    hanging.set()
    assert (delivery.outcome, delivery.attempts, time.slept) == ("sent", 2, [0.5])


async def test_a_server_that_hangs_up_is_asked_again(endpoint):
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    endpoint.answers = [hang_up, 200]
    assert (await deliver(endpoint.url, Time())).attempts == 2


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_the_secret_parts_of_the_address_are_used_and_never_shown(endpoint, status, caplog):
    endpoint.answers = [status]
    url = endpoint.url.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
    caplog.set_level("DEBUG")
    delivery = await deliver(url, Time(), attempts_max=2)
    headers, _ = endpoint.requests[0]
    assert headers["Authorization"].startswith("Basic ")
    assert SECRET not in delivery.reason
    assert SECRET not in caplog.text
    assert "/in" not in delivery.reason


async def test_the_secret_parts_of_an_address_that_cannot_be_reached_are_not_shown():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/{SECRET}?token={SECRET}"
        delivery = await deliver(url, Time(), attempts_max=1)
    assert delivery.outcome == "failed"
    assert SECRET not in delivery.reason


async def test_a_plain_server_behind_an_https_address_fails_without_further_attempts(endpoint):
    delivery = await deliver(endpoint.url.replace("http:", "https:"), Time())
    assert (delivery.outcome, delivery.attempts) == ("failed", 1)
    assert "cannot be used" in delivery.reason


def test_a_webhook_without_an_address_is_refused():
    with pytest.raises(ValueError, match="needs a url"):
        WebhookReceiver(
            ReceiverSettings(name="hook", kind="console"), clock=lambda: 0.0, sleep=asyncio.sleep, jitter=lambda: 0.0
        )
