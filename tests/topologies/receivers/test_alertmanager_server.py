"""Alertmanager itself receives, groups and resolves incidents, and knows what is open after it has restarted."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.route import RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS
from tests.pipeline.route.samples import alert, incident
from tests.topologies.receivers.alertmanager_server import PROGRAM, Member, run_pager, wait_until
from topologies.receivers import NotificationSender, build_receivers

pytestmark = [
    pytest.mark.alertmanager,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed (Debian: apt-get install {PROGRAM})"
    ),
]

RESEND_INTERVAL_S = 3.0


class Route:
    """The step and its sender, run as the worker runs them, without Kafka."""

    def __init__(self, members: Sequence[Member]) -> None:
        urls = [member.url for member in members]
        destination = {"urls": urls, "resend_interval_s": RESEND_INTERVAL_S}
        receiver = {"name": "am", "alertmanager": destination, "retry_interval_max_s": 1.0, "timeout_s": 5.0}
        labels = [{"matchers": ['subject="support-bot"'], "labels": {"team": "support"}}]
        settings = RouteSettings.model_validate(
            {"receivers": [receiver], "default_receivers": ["am"], "labels": labels}
        )
        self._step = RouteStep(settings, int(time.time() * 1000))
        self._sender = NotificationSender(build_receivers(settings, replay=False))
        self._offset = 0
        self.notes: list[Notification] = []

    def read(self, **changes: Any) -> None:
        """Read a revision of an incident that started a minute ago."""
        now = int(time.time() * 1000)
        times = {"started_at": now - 60_000, "detected_at": now - 30_000, "updated_at": now}
        self._step.step([alert(incident(**(times | changes)), self._offset)])
        self._offset += 1

    async def run(self) -> None:
        while True:
            outputs = self._step.tick(int(time.time() * 1000)) + await self._sender.exchange(self._step)
            self.notes += [
                Notification.from_json(output.value or b"") for output in outputs if output.topic == NOTIFICATIONS
            ]
            await asyncio.sleep(0.05)


@asynccontextmanager
async def run_route(*members: Member) -> AsyncIterator[Route]:
    route = Route(members)
    task = asyncio.create_task(route.run())
    try:
        yield route
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def stop_afterwards(*members: Member) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for member in members:
            await member.stop()


async def test_alertmanager_receives_groups_and_resolves_incidents(tmp_path: Path) -> None:
    async with run_pager() as pager:
        member = Member(tmp_path / "am", pager, group_by=["subject"])
        async with stop_afterwards(member), run_route(member) as route:
            await member.start()
            route.read(incident_id="inc-a")
            route.read(incident_id="inc-b", severity="P2")
            route.read(incident_id="inc-c", subject="search", environment=None)
            alerts = await member.wait_for_alerts(lambda alerts: len(alerts) == 3)
            labels = {"alertname": "DriftwireIncident", "driftwire_receiver": "am", "subject": "support-bot"}
            labels |= {"environment": "production", "team": "support"}
            assert alerts["inc-a"]["labels"] == labels | {"incident_id": "inc-a"}
            assert "environment" not in alerts["inc-c"]["labels"]
            assert alerts["inc-b"]["annotations"]["severity"] == "P2"

            await wait_until(lambda: all(pager.statuses(f"inc-{name}") for name in "abc"))
            groups = {frozenset(alert["labels"]["incident_id"] for alert in group["alerts"]) for group in pager.groups}
            assert frozenset({"inc-a", "inc-b"}) in groups
            assert frozenset({"inc-c"}) in groups

            route.read(incident_id="inc-a", revision=2, severity="P1")
            await member.wait_for_alerts(lambda alerts: alerts["inc-a"]["annotations"]["severity"] == "P1")
            route.read(incident_id="inc-a", revision=3, status="resolved", resolved_at=int(time.time() * 1000) - 50_000)
            await wait_until(lambda: pager.statuses("inc-a")[-1] == "resolved")
            assert set(await member.alerts()) == {"inc-b", "inc-c"}
            assert {(note.incident_id, note.outcome) for note in route.notes} == {
                ("inc-a", "sent"),
                ("inc-b", "sent"),
                ("inc-c", "sent"),
            }
            assert len(route.notes) == 5  # no re-send is a notification


async def test_open_incidents_stay_firing_over_a_restart_of_alertmanager(tmp_path: Path) -> None:
    async with run_pager() as pager:
        member = Member(tmp_path / "am", pager)
        async with stop_afterwards(member), run_route(member) as route:
            await member.start()
            route.read()
            [before] = (await member.wait_for_alerts(bool)).values()
            await wait_until(lambda: bool(pager.groups))
            await member.stop()
            await member.start()
            [after] = (await member.wait_for_alerts(bool)).values()
            assert after["labels"] == before["labels"]
            assert after["startsAt"] == before["startsAt"]

            # It is re-sent for longer than until its first end, and a person is not notified again.
            ends_at = datetime.fromisoformat(after["endsAt"]).timestamp()
            await wait_until(lambda: time.time() > ends_at + RESEND_INTERVAL_S)
            assert len(await member.alerts()) == 1
            assert pager.statuses("inc-3f9a21c0b7") == ["firing"]
            assert [note.reason_code for note in route.notes] == ["first_notification"]

            route.read(revision=2, status="resolved", resolved_at=int(time.time() * 1000))
            await wait_until(lambda: pager.statuses("inc-3f9a21c0b7") == ["firing", "resolved"])
            assert await member.alerts() == {}


async def test_an_alert_ends_by_itself_if_nobody_re_sends_it(tmp_path: Path) -> None:
    async with run_pager() as pager:
        member = Member(tmp_path / "am", pager)
        async with stop_afterwards(member):
            async with run_route(member) as route:
                await member.start()
                route.read()
                await wait_until(lambda: pager.statuses("inc-3f9a21c0b7") == ["firing"])
            await wait_until(lambda: pager.statuses("inc-3f9a21c0b7") == ["firing", "resolved"])


async def test_a_cluster_is_notified_although_a_member_is_down_and_it_knows_what_is_open_once_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_pager() as pager:
        first, second = Member(tmp_path / "first", pager), Member(tmp_path / "second", pager)
        async with stop_afterwards(first, second), run_route(first, second) as route:
            await first.start()
            route.read()
            await first.wait_for_alerts(bool)
            await wait_until(lambda: [note.outcome for note in route.notes] == ["sent"])
            problem = f"a member of receiver am did not accept alerts: {second.url} cannot be reached"
            assert problem in caplog.text

            await second.start(first)
            [known] = (await second.wait_for_alerts(bool)).values()
            [alert] = (await first.alerts()).values()
            assert known["labels"] == alert["labels"]
            await first.stop()
            route.read(revision=2, status="resolved", resolved_at=int(time.time() * 1000))
            await wait_until(lambda: "resolved" in pager.statuses("inc-3f9a21c0b7"))
            assert await second.alerts() == {}
            assert [note.outcome for note in route.notes] == ["sent", "sent"]
