"""``driftwire receiver test`` sends a marked incident and its end through the real receiver."""

import asyncio
import socket
import time

import orjson
import pytest
from click.testing import CliRunner

from pipeline.route import ReceiverSettings, RouteSettings
from pipeline.route.receiver_settings import PagerDutySettings
from schemas.incident import Incident
from tests.topologies.endpoint import run_endpoint
from tests.topologies.pagerduty_server import KEY, run_pagerduty
from topologies.commands.receiver import command, send_test
from topologies.receivers.http import HttpClient
from topologies.receivers.pagerduty import PagerDutyReceiver


async def run(path, *arguments):
    options = ["test", *arguments, "--open-for", "0s", "--config", str(path)]
    return await asyncio.to_thread(CliRunner().invoke, command, options)


def write(path, *receivers):
    used = ", ".join(f'"{receiver.split(chr(34))[1]}"' for receiver in receivers)
    tables = "\n".join(f"[[route.receivers]]\n{receiver}" for receiver in receivers)
    path.write_text(f"route.default_receivers = [{used}]\n{tables}\n")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "driftwire.toml"


async def test_a_pager_opens_and_closes_a_marked_alert(path):
    async with run_pagerduty() as server:
        write(
            path,
            f'name = "pager"\npagerduty = {{ url = "{server.url}", routing_key = "{KEY}" }}\nseverities = ["P1", "P2"]',
        )
        result = await run(path, "pager")
    assert result.exit_code == 0, result.output
    opened, closed = server.events
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"]
    assert opened["payload"]["summary"].startswith("P2 Test: this is not an incident")
    assert (opened["payload"]["severity"], server.statuses) == ("error", {})
    first, second = result.output.splitlines()
    assert first.startswith(f"pager (pagerduty): {opened['dedup_key']} P2 open: accepted after ")
    assert second.startswith(f"pager (pagerduty): {opened['dedup_key']} P2 resolved: accepted after ")


async def test_each_test_is_an_incident_of_its_own(path):
    async with run_endpoint() as endpoint:
        write(path, f'name = "hook"\nwebhook.url = "{endpoint.url}"')
        for _ in range(2):
            assert (await run(path, "hook")).exit_code == 0
    incidents = [Incident.model_validate_json(orjson.dumps(event["data"])) for _, event in endpoint.requests]
    assert [(incident.severity, incident.status, incident.revision) for incident in incidents] == [
        ("P4", "open", 1),
        ("P4", "resolved", 2),
    ] * 2
    assert len({incident.incident_id for incident in incidents}) == 2
    assert len({event["id"] for _, event in endpoint.requests}) == 4


async def test_a_refusal_is_printed_with_its_reason_and_status_1(path):
    async with run_pagerduty() as server:
        write(path, f'name = "pager"\npagerduty = {{ url = "{server.url}", routing_key = "hunter2" }}')
        result = await run(path, "pager")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert f"P4 open: not accepted: {server.url} answered 400 (Event object is invalid: " in line
    assert "hunter2" not in line


async def test_the_end_follows_an_attempt_that_may_have_arrived(path):
    async with run_endpoint() as endpoint:
        endpoint.answers = [500, 200]
        write(path, f'name = "hook"\nwebhook.url = "{endpoint.url}"')
        result = await run(path, "hook")
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first.endswith("P4 open: not accepted: " + endpoint.url.removesuffix("/in") + " answered 500")
    assert " P4 resolved: accepted after " in second


async def test_an_unreachable_receiver_and_a_missing_secret_are_named(path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        write(path, f'name = "hook"\nwebhook.url = "{url}"', 'name = "pager"\npagerduty.routing_key = "${NO_SUCH_KEY}"')
        hook, pager = await run(path, "hook"), await run(path, "pager")
    assert (hook.exit_code, pager.exit_code) == (1, 1)
    assert f"not accepted: {url} cannot be reached (ConnectionRefusedError)" in hook.output
    assert "not accepted: cannot use routing_key: the environment variable NO_SUCH_KEY is not set" in pager.output


async def test_an_alert_has_the_labels_of_the_configuration_and_ends_with_the_same(path):
    async with run_endpoint() as endpoint:
        write(path, f'name = "am"\nalertmanager.urls = ["{endpoint.url}"]')
        path.write_text(path.read_text() + '[[route.labels]]\nlabels = { team = "search" }\n')
        result = await run(path, "am")
    assert result.exit_code == 0, result.output
    ((_, (opened,)), (_, (ended,))) = endpoint.requests
    assert opened["labels"] == ended["labels"]
    assert (opened["labels"]["team"], opened["labels"]["subject"]) == ("search", "test")
    assert opened["annotations"]["title"] == "Test: this is not an incident"
    assert ended["annotations"]["status"] == "resolved"


async def test_a_receiver_that_wants_no_ends_gets_none(path):
    async with run_endpoint() as endpoint:
        write(path, f'name = "hook"\nwebhook.url = "{endpoint.url}"\nsend_resolved = false')
        result = await run(path, "hook")
    assert (result.exit_code, len(result.output.splitlines()), len(endpoint.requests)) == (0, 1, 1)


async def test_an_unknown_name_is_answered_with_the_nearest_one(path):
    write(path, 'name = "on-call"\nconsole = true', 'name = "chat"\nconsole = true')
    result = await run(path, "oncall")
    assert result.exit_code == 2
    assert 'there is no receiver "oncall": did you mean "on-call"?' in result.output


async def test_the_console_shows_the_test_as_a_card(path):
    write(path, 'name = "console"\nconsole = true')
    result = await run(path, "console")
    assert result.exit_code == 0
    assert result.output.count("Test: this is not an incident") == 2


async def test_the_end_is_sent_after_an_interrupt_too():
    delivered = asyncio.Event()

    class Observed:
        """The real receiver, which reports its first delivery."""

        async def deliver(self, dispatch):
            delivery = await receiver.deliver(dispatch)
            delivered.set()
            return delivery

    async with run_pagerduty() as server:
        destination = PagerDutySettings(url=server.url, routing_key=KEY)
        settings = ReceiverSettings(name="pager", pagerduty=destination)
        receiver = PagerDutyReceiver(destination, HttpClient(10.0, time.time), clock=time.time)
        testing = asyncio.create_task(send_test(Observed(), settings, RouteSettings(), 60.0))
        await delivered.wait()
        testing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await testing
    assert [event["event_action"] for event in server.events] == ["trigger", "resolve"]
