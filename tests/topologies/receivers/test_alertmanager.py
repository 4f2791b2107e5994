"""What is posted to the members of a cluster, and what their answers mean. A test with Alertmanager itself is in its own file."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route import Delivery, Dispatch, Resend
from pipeline.route.labels import incident_labels
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import AlertmanagerSettings
from schemas.incident import Incident
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.topologies.endpoint import Endpoint, run_endpoint
from topologies.receivers.alertmanager import ALERTS_MAX, AlertmanagerReceiver
from topologies.receivers.http import HttpClient

NOW_S = 1_795_489_961.0  # 2026-11-24T03:12:41Z
SECRET = "hunter2"
LABELS = {
    "alertname": "DriftwireIncident",
    "driftwire_receiver": "am",
    "incident_id": "inc-3f9a21c0b7",
    "subject": "support-bot",
    "environment": "production",
    "team": "support",
}


@pytest_asyncio.fixture
async def members() -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    """Two members of a cluster. Both have the path prefix /in."""
    async with run_endpoint() as first, run_endpoint() as second:
        yield first, second


def receiver(*urls: str, **settings: Any) -> AlertmanagerReceiver:
    client = HttpClient(settings.pop("timeout_s", 10.0), lambda: NOW_S)
    addresses = {} if not urls else {"urls": urls}
    return AlertmanagerReceiver(AlertmanagerSettings.model_validate(addresses | settings), client, clock=lambda: NOW_S)


def dispatch(revision: Incident | None = None, reference: str = "", **labels: str) -> Dispatch:
    revision = revision or incident()
    all_labels = incident_labels(revision) | {"team": ("support",)} | {name: (text,) for name, text in labels.items()}
    reason = Reason("first_notification", "new to the receiver: P3 open")
    return Dispatch(revision, "am", "urgent", reason, alert(revision), STARTED, 0, reference, all_labels)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def post(members: tuple[Endpoint, Endpoint], sent: Dispatch) -> dict[str, Any]:
    """Deliver, and return the alert that both members have received."""
    delivery = await receiver(*(member.url for member in members)).deliver(sent)
    assert delivery.outcome == "sent"
    (headers, [posted]), (_, [same]) = (member.requests[-1] for member in members)
    assert headers["Content-Type"] == "application/json"
    assert posted == same
    return dict(posted)


async def test_an_open_incident_is_posted_to_every_member_with_stable_labels(members):
    posted = await post(members, dispatch())
    assert posted == {
        "labels": LABELS,
        "annotations": {
            "severity": "P3",
            "status": "open",
            "failure_mode": "refusal_spike",
            "title": incident().title,
            "summary": incident().summary,
            "since": "2026-11-24T03:12:00.000Z",
            "suspect": "prompt prompt: deployed 20 s before the start",
            "first_action": "rollback prompt v42 -> v41: the newest change before the start",
            "runbook": "docs/runbooks/refusal_spike.md",
        },
        "startsAt": "2026-11-24T03:12:00.000Z",
        "endsAt": "2026-11-24T03:16:41.000Z",
    }


async def test_the_delivery_returns_the_labels_and_the_reason(members):
    delivery = await receiver(members[0].url).deliver(dispatch())
    assert orjson.loads(delivery.reference) == LABELS
    assert (delivery.reason, delivery.attempts, delivery.sent_at) == (
        "new to the receiver: P3 open",
        1,
        int(NOW_S * 1000),
    )


async def test_the_labels_stay_those_of_the_first_notification_whatever_changes(members):
    first = await post(members, dispatch())
    changed = incident(
        revision=2,
        severity="P1",
        status="acknowledged",
        failure_mode="outage",
        environment="staging",
        provider="example",
        segments=["region=eu"],
    )
    second = await post(members, dispatch(changed, reference=orjson.dumps(first["labels"]).decode(), team="other"))
    assert second["labels"] == first["labels"]
    assert second["annotations"]["severity"] == "P1"
    assert second["annotations"]["failure_mode"] == "outage"


@pytest.mark.parametrize("reference", ["1732418.0031", "[]", "not JSON", '{"ts": "1"}', "17"])
async def test_a_reference_of_another_kind_of_receiver_is_ignored(members, reference):
    assert (await post(members, dispatch(reference=reference)))["labels"] == LABELS


async def test_severity_status_failure_mode_layer_and_segment_are_no_labels(members):
    posted = await post(members, dispatch(incident(segments=["region=eu"], provider="example")))
    assert posted["labels"] == LABELS | {"provider": "example"}


async def test_the_configuration_can_set_the_alert_name(members):
    assert (await post(members, dispatch(alertname="ModelIncident")))["labels"] == LABELS | {
        "alertname": "ModelIncident"
    }


@pytest.mark.parametrize("status", ["resolved", "merged"])
@pytest.mark.parametrize(
    ("resolved_at", "ends_at"),
    [
        (STARTED + 30_000, "2026-11-24T03:12:30.000Z"),
        (STARTED + 3_600_000, "2026-11-24T03:12:41.000Z"),  # not in the future
        (STARTED - 60_000, "2026-11-24T03:12:00.000Z"),  # not before its start, which Alertmanager would refuse
        (None, "2026-11-24T03:12:41.000Z"),
    ],
)
async def test_an_incident_that_is_over_ends_at_its_end(members, status, resolved_at, ends_at):
    posted = await post(members, dispatch(incident(status=status, resolved_at=resolved_at, merged_into="inc-b")))
    assert (posted["startsAt"], posted["endsAt"]) == ("2026-11-24T03:12:00.000Z", ends_at)
    assert posted["annotations"]["status"] == status


async def test_an_incident_that_starts_in_the_future_starts_now(members):
    posted = await post(members, dispatch(incident(started_at=STARTED + 3_600_000)))
    assert (posted["startsAt"], posted["endsAt"]) == ("2026-11-24T03:12:41.000Z", "2026-11-24T03:16:41.000Z")


async def test_control_characters_from_records_are_replaced(members):
    posted = await post(members, dispatch(incident(environment="pro\x1b[31m\u202e", title="a\nb\x07")))
    assert posted["labels"]["environment"] == "pro\ufffd[31m\ufffd"
    assert posted["annotations"]["title"] == "a b\ufffd"


@pytest.mark.parametrize("answer", [400, 404, 500, 503, 429, "closed"])
async def test_one_member_that_accepts_is_enough_and_the_log_names_the_others(members, answer, caplog):
    first, second = members
    if answer == "closed":
        url = f"http://127.0.0.1:{closed_port()}"
    else:
        first.answers, url = [answer], first.url
    delivery = await receiver(url, second.url).deliver(dispatch())
    assert delivery.outcome == "sent"
    assert len(second.requests) == 1
    [line] = caplog.messages
    assert line.startswith("route: a member of receiver am did not accept alerts: http://127.0.0.1:")


async def test_a_member_that_hangs_delays_one_alert_and_is_tried_again_by_the_next_re_send(
    members, caplog, monkeypatch
):
    monkeypatch.setattr("topologies.receivers.alertmanager.PATIENCE_S", 0.2)
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    hanging, healthy = members
    hanging.answers = [hang]
    am = receiver(hanging.url, healthy.url, timeout_s=60.0)
    async with asyncio.timeout(20):
        deliveries = [await am.deliver(dispatch()) for _ in range(3)]
        assert [delivery.outcome for delivery in deliveries] == ["sent"] * 3
        assert (len(hanging.requests), len(healthy.requests)) == (1, 3)
        [line] = caplog.messages
        origin = hanging.url.removesuffix("/in")
        assert f"{origin} did not answer within 0.2 s after another member, and is left out" in line

        released.set()
        await am.resend(resend(2))
        assert (len(hanging.requests), len(healthy.requests)) == (2, 4)
        assert (await am.deliver(dispatch())).outcome == "sent"
        assert (len(hanging.requests), len(healthy.requests)) == (3, 5)


@pytest.mark.parametrize("status", [503, 400])
async def test_a_member_that_was_left_out_is_tried_again_if_no_other_accepts(members, monkeypatch, status):
    monkeypatch.setattr("topologies.receivers.alertmanager.PATIENCE_S", 0.2)
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    hanging, other = members
    hanging.answers, other.answers = [hang], [200, status]
    am = receiver(hanging.url, other.url, timeout_s=60.0)
    async with asyncio.timeout(20):
        assert (await am.deliver(dispatch())).outcome == "sent"
        released.set()
        assert (await am.deliver(dispatch())).outcome == "retry"
        assert (await am.deliver(dispatch())).outcome == "sent"
    assert (len(hanging.requests), len(other.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [((400, 404), "failed"), ((400, 500), "retry"), ((429, 401), "retry"), ((500, 500), "retry")],
)
async def test_if_no_member_accepts_a_retry_makes_sense_unless_all_refused(members, answers, outcome):
    for member, answer in zip(members, answers, strict=True):
        member.answers = [answer]
    delivery = await receiver(*(member.url for member in members)).deliver(dispatch())
    assert delivery.outcome == outcome
    for member, answer in zip(members, answers, strict=True):
        assert f"{member.url.removesuffix('/in')} answered {answer}" in delivery.reason


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_basic_authentication_works_and_is_never_shown(members, status, caplog):
    caplog.set_level("DEBUG")
    members[0].answers = [status]
    url = members[0].url.replace("http://", f"http://user:{SECRET}@")
    delivery = await receiver(url, members[1].url).deliver(dispatch())
    headers, _ = members[0].requests[0]
    assert headers["Authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert delivery.outcome == "sent"
    alone = await receiver(url).deliver(dispatch())
    for text in (delivery.reason, alone.reason, caplog.text):
        assert SECRET not in text
        assert "/in" not in text


async def test_variables_in_an_address_are_read_from_the_environment(members, monkeypatch):
    am = receiver("http://user:${AM_PASSWORD}@" + members[0].url.removeprefix("http://"))
    problem = "cannot use urls: the environment variable AM_PASSWORD is not set"
    assert await am.deliver(dispatch()) == Delivery("retry", problem, 1)
    monkeypatch.setenv("AM_PASSWORD", SECRET)
    assert (await am.deliver(dispatch())).outcome == "sent"


async def test_the_addresses_are_read_from_their_file_for_each_attempt(members, tmp_path):
    path = tmp_path / "urls"
    am = receiver(urls_file=str(path))
    problem = f"cannot use the urls_file {path}: No such file or directory"
    assert await am.deliver(dispatch()) == Delivery("retry", problem, 1)
    path.write_text(f"{members[0].url}\nftp://{SECRET}\n")
    problem = f"cannot use the urls_file {path}: each must be an http or https address with a host"
    assert await am.deliver(dispatch()) == Delivery("retry", problem, 1)
    path.write_text("".join(f"{member.url}/\n" for member in members))
    assert (await am.deliver(dispatch())).outcome == "sent"
    assert [len(member.requests) for member in members] == [1, 1]


@pytest.mark.parametrize("addresses", [{}, {"urls": ["http://a.example.org"], "urls_file": "urls"}])
def test_addresses_are_given_once(addresses):
    with pytest.raises(ValueError, match="set either urls or urls_file"):
        AlertmanagerSettings(**addresses)


@pytest.mark.parametrize("url", [f"{SECRET}:9093", f"ftp://{SECRET}", f"http:///{SECRET}"])
def test_every_address_must_be_complete_and_a_wrong_one_is_not_repeated(url):
    with pytest.raises(ValueError, match="each of urls must be an http or https address") as error:
        AlertmanagerSettings.model_validate({"urls": ["http://am-1:9093", url]})
    assert SECRET not in str(error.value)


def resend(count: int, reference: str = orjson.dumps(LABELS).decode()) -> Resend:
    return Resend("am", tuple((alert(incident(incident_id=f"inc-{number}")), reference) for number in range(count)))


async def test_500_open_incidents_are_re_sent_in_8_requests(members):
    await receiver(*(member.url for member in members)).resend(resend(500))
    for member in members:
        sizes = [len(alerts) for _, alerts in member.requests]
        assert sizes == [ALERTS_MAX] * 7 + [52]
        assert member.requests[0][1][0]["labels"] == LABELS
        assert member.requests[0][1][0]["endsAt"] == "2026-11-24T03:16:41.000Z"


async def test_a_re_send_ends_if_no_member_can_be_reached(members, caplog):
    for member in members:
        member.answers = [503]
    await receiver(*(member.url for member in members)).resend(resend(500))
    assert [len(member.requests) for member in members] == [1, 1]
    assert "receiver am did not accept the re-send of 64 open incidents" in caplog.text


async def test_a_re_send_goes_on_after_a_permanent_refusal(members):
    members[0].answers = [400]
    await receiver(members[0].url).resend(resend(100))
    assert len(members[0].requests) == 2


async def test_an_incident_of_which_another_kind_of_receiver_was_notified_is_not_re_sent(members):
    await receiver(members[0].url).resend(resend(3, reference="1732418.0031"))
    assert members[0].requests == []
