import asyncio
import logging
import re
import tomllib
from pathlib import Path

from pipeline.route.delivery import Delivery, Dispatch, Resend
from pipeline.route.receiver_settings import (
    AlertmanagerSettings,
    PagerDutySettings,
    ReceiverSettings,
    WebhookReceiverSettings,
)
from pipeline.route.settings import DigestSettings, Route, RouteSettings
from pipeline.route.step import RouteStep
from pipeline.step import OutputMessage
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident
from topologies.receivers.apprise import AppriseReceiver
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.delivery import PATIENCE_S, NotificationSender, build_receivers
from topologies.receivers.github import GitHubReceiver
from topologies.receivers.pagerduty import PagerDutyReceiver
from topologies.receivers.slack import SlackReceiver
from topologies.receivers.webhook import WebhookReceiver

SETTINGS = RouteSettings.model_validate(
    {
        "receivers": [
            {"name": "fast", "console": True},
            {"name": "slow", "webhook": {"url": "http://slow.example.org"}},
            {"name": "chat", "slack": {"url": "http://chat.example.org"}},
            {"name": "tickets", "github": {"repository": "acme/incidents", "token": "token"}},
            {"name": "mail", "apprise": {"url": "mailto://mail.example.org"}},
            {"name": "pager", "pagerduty": {"routing_key": "key"}},
        ],
        "default_receivers": ["slow", "fast"],
    }
)


class Recorder:
    def __init__(
        self, arrived: list[str], waits_for: asyncio.Event | None = None, sets: asyncio.Event | None = None
    ) -> None:
        self.arrived, self.waits_for, self.sets = arrived, waits_for, sets

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        if self.waits_for is not None:
            await self.waits_for.wait()
        self.arrived.append(dispatch.notification_id)
        if self.sets is not None and len(self.arrived) == 2:
            self.sets.set()
        return Delivery("sent", "", 1, 1_795_489_999_000)


class BrokenReceiver:
    async def deliver(self, dispatch: Dispatch) -> Delivery:
        raise RuntimeError(dispatch.notification_id)


def step_with_pending_dispatches() -> RouteStep:
    step = RouteStep(SETTINGS)
    step.step([alert(incident(incident_id=name), offset) for offset, name in enumerate("ab")])
    return step


def test_every_kind_of_receiver_is_built_by_name():
    receivers = build_receivers(SETTINGS, replay=False)
    assert isinstance(receivers["fast"], ConsoleReceiver)
    assert isinstance(receivers["slow"], WebhookReceiver)
    assert isinstance(receivers["chat"], SlackReceiver)
    assert isinstance(receivers["tickets"], GitHubReceiver)
    assert isinstance(receivers["mail"], AppriseReceiver)
    assert isinstance(receivers["pager"], PagerDutyReceiver)


async def exchange_until(sender: NotificationSender, step: RouteStep, outcomes: int) -> list[OutputMessage]:
    """Exchange until the outcomes of so many notifications are recorded."""
    outputs: list[OutputMessage] = []
    async with asyncio.timeout(10):
        while len([output for output in outputs if output.topic == NOTIFICATIONS]) < outcomes:
            outputs += await sender.exchange(step)
            await asyncio.sleep(0.01)
    return outputs


def read_notes(outputs: list[OutputMessage]) -> list[Notification]:
    return [Notification.from_json(output.value or b"") for output in outputs if output.topic == NOTIFICATIONS]


async def test_a_slow_receiver_does_not_delay_another_and_each_keeps_the_order():
    arrived: list[str] = []
    fast_is_done = asyncio.Event()
    step = step_with_pending_dispatches()
    # The slow receiver waits until the fast one has both. If they worked one after another, this would never end.
    sender = NotificationSender({"slow": Recorder(arrived, fast_is_done), "fast": Recorder(arrived, sets=fast_is_done)})
    notes = read_notes(await exchange_until(sender, step, 4))
    assert arrived == ["a:1:fast", "b:1:fast", "a:1:slow", "b:1:slow"]
    assert sorted(note.notification_id for note in notes) == sorted(arrived)
    assert {note.outcome for note in notes} == {"sent"}


async def test_an_exchange_does_not_wait_for_a_receiver_that_hangs():
    step = step_with_pending_dispatches()
    never = asyncio.Event()
    arrived: list[str] = []
    sender = NotificationSender({"slow": Recorder([], never), "fast": Recorder(arrived)})
    async with asyncio.timeout(PATIENCE_S + 1):
        notes = read_notes(await sender.exchange(step))
    assert [note.notification_id for note in notes] == ["a:1:fast", "b:1:fast"]
    step.step([alert(incident(incident_id="c"), 2)])
    assert len(read_notes(await exchange_until(sender, step, 1))) == 1
    assert arrived == ["a:1:fast", "b:1:fast", "c:1:fast"]
    assert not sender.has_work(step)
    never.set()
    assert {note.receiver for note in read_notes(await exchange_until(sender, step, 3))} == {"slow"}


async def test_nothing_is_due_afterwards_and_the_state_can_be_written():
    step = step_with_pending_dispatches()
    sender = NotificationSender({"slow": Recorder([]), "fast": Recorder([])})
    await exchange_until(sender, step, 4)
    assert not sender.has_work(step)
    keys = [b"alert/a", b"alert/b", b"clock/", b"incident/a", b"incident/b"]
    assert [key for key, _ in step.changed()] == keys


ALERTMANAGER = RouteSettings.model_validate(
    {
        "receivers": [{"name": "am", "alertmanager": {"urls": ["http://am.example.org"], "resend_interval_s": 60}}],
        "default_receivers": ["am"],
    }
)


class RecordingAlertmanager(Recorder):
    """Receiver whose re-sends last until an event."""

    def __init__(self, arrived: list[str], ends: asyncio.Event) -> None:
        super().__init__(arrived)
        self.ends = ends

    async def resend(self, resend: Resend) -> None:
        self.arrived.append("re-send begins")
        await self.ends.wait()
        self.arrived.append("re-send ends")
        raise RuntimeError(resend.receiver)


async def test_the_end_of_an_incident_waits_for_a_re_send_which_would_open_it_again(caplog):
    arrived: list[str] = []
    ends = asyncio.Event()
    step = RouteStep(ALERTMANAGER, STARTED)
    sender = NotificationSender({"am": RecordingAlertmanager(arrived, ends)})
    step.tick(STARTED)
    step.step([alert(incident(incident_id="a"))])
    await exchange_until(sender, step, 1)
    assert not sender.has_work(step)
    step.tick(STARTED + 60_000)
    assert sender.has_work(step)
    assert await sender.exchange(step) == []
    step.step([alert(incident(incident_id="a", revision=2, status="resolved"), 1)])
    assert await sender.exchange(step) == []
    assert not sender.has_work(step)
    ends.set()
    assert [note.status for note in read_notes(await exchange_until(sender, step, 1))] == ["resolved"]
    assert arrived == ["a:1:am", "re-send begins", "re-send ends", "a:2:am"]
    assert "receiver am raised an error on a re-send" in caplog.text
    assert not sender.has_work(step)


async def test_a_re_send_waits_for_the_attempts_in_flight():
    arrived: list[str] = []
    re_sends_end = asyncio.Event()
    re_sends_end.set()
    step = RouteStep(ALERTMANAGER, STARTED)
    receiver = RecordingAlertmanager(arrived, re_sends_end)
    sender = NotificationSender({"am": receiver})
    step.tick(STARTED)
    step.step([alert(incident(incident_id="a"))])
    await exchange_until(sender, step, 1)
    receiver.waits_for = asyncio.Event()
    step.step([alert(incident(incident_id="b"), 1)])
    assert await sender.exchange(step) == []
    step.tick(STARTED + 60_000)
    assert await sender.exchange(step) == []
    receiver.waits_for.set()
    await exchange_until(sender, step, 1)
    assert arrived == ["a:1:am", "b:1:am", "re-send begins", "re-send ends"]


async def test_a_re_send_that_hangs_is_cancelled_when_the_step_closes(monkeypatch):
    monkeypatch.setattr("topologies.receivers.delivery.FINISH_TIME_S", 0.1)
    arrived: list[str] = []
    step = RouteStep(ALERTMANAGER, STARTED)
    sender = NotificationSender({"am": RecordingAlertmanager(arrived, asyncio.Event())})
    step.tick(STARTED)
    step.step([alert(incident(incident_id="a"))])
    await exchange_until(sender, step, 1)
    step.tick(STARTED + 60_000)
    await sender.exchange(step)
    async with asyncio.timeout(5):
        await sender.finish(step)
    assert await sender.exchange(step) == []
    assert arrived == ["a:1:am", "re-send begins"]


async def test_after_an_internal_error_of_a_receiver_its_notifications_stay_owed_and_the_others_continue(caplog):
    step = step_with_pending_dispatches()
    sender = NotificationSender({"slow": BrokenReceiver(), "fast": Recorder([])})
    with caplog.at_level(logging.WARNING, "driftwire"):
        outputs = await exchange_until(sender, step, 2)
    assert [(note.receiver, note.outcome) for note in read_notes(outputs)] == [("fast", "sent")] * 2
    assert DEAD_LETTERS not in {output.topic for output in outputs}
    reason = "the receiver raised an internal error (RuntimeError)"
    assert f"notification a:1:slow was not sent, and it stays owed: {reason}" in caplog.text
    assert "b:1:slow" not in caplog.text  # the receiver is left alone after the first failure
    state = {key: value or b"" for key, value in step.changed()}
    assert b'"problem":"the receiver raised an internal error (RuntimeError)"' in state[b"incident/a"]


async def test_a_delivered_notification_is_not_sent_again_if_its_checkpoint_fails():
    arrived: list[str] = []
    sender = NotificationSender({"slow": Recorder(arrived), "fast": Recorder(arrived)})
    first = await exchange_until(sender, step_with_pending_dispatches(), 4)
    # The checkpoint fails, and the step is restored from the previous checkpoint.
    assert await exchange_until(sender, step_with_pending_dispatches(), 4) == first
    assert sorted(arrived) == ["a:1:fast", "a:1:slow", "b:1:fast", "b:1:slow"]


async def test_an_attempt_of_a_step_that_was_replaced_is_not_made_twice():
    arrived: list[str] = []
    goes_on = asyncio.Event()
    sender = NotificationSender({"slow": Recorder(arrived, goes_on), "fast": Recorder(arrived)})
    await sender.exchange(step_with_pending_dispatches())
    restored = step_with_pending_dispatches()
    await sender.exchange(restored)
    goes_on.set()
    assert len(read_notes(await exchange_until(sender, restored, 2))) == 2
    assert sorted(arrived) == ["a:1:fast", "a:1:slow", "b:1:fast", "b:1:slow"]


async def test_a_step_that_closes_records_what_ended_cancels_the_rest_and_starts_nothing(monkeypatch):
    monkeypatch.setattr("topologies.receivers.delivery.FINISH_TIME_S", 0.1)
    arrived: list[str] = []
    never = asyncio.Event()
    step = step_with_pending_dispatches()
    sender = NotificationSender({"slow": Recorder([], never), "fast": Recorder(arrived)})
    assert len(read_notes(await sender.exchange(step))) == 2
    step.step([alert(incident(incident_id="c"), 2)])
    async with asyncio.timeout(5):
        await sender.finish(step)
    assert read_notes(await sender.exchange(step)) == []
    assert arrived == ["a:1:fast", "b:1:fast"]
    assert b'"owed":{"slow":' in dict(step.changed())[b"incident/a"]


async def test_a_batch_to_a_slow_receiver_ends_early(monkeypatch):
    monkeypatch.setattr("topologies.receivers.delivery.BATCH_TIME_S", -1.0)
    step = step_with_pending_dispatches()
    arrived: list[str] = []
    sender = NotificationSender({"slow": Recorder(arrived), "fast": Recorder(arrived)})
    await sender.exchange(step)
    assert arrived == []
    monkeypatch.setattr("topologies.receivers.delivery.BATCH_TIME_S", 5.0)
    assert len(read_notes(await exchange_until(sender, step, 4))) == 4


async def test_the_memory_of_sent_notifications_is_bounded(monkeypatch):
    monkeypatch.setattr("topologies.receivers.delivery.SENT_MAX", 10)
    step = RouteStep(RouteSettings())
    step.step([alert(incident(incident_id=f"inc-{number}"), number) for number in range(13)])
    sender = NotificationSender({"console": Recorder([])})
    await exchange_until(sender, step, 13)
    assert len(sender._sent) == 10


async def test_without_anything_owed_nothing_is_sent():
    assert await NotificationSender({}).exchange(RouteStep(SETTINGS)) == []


def test_the_settings_in_the_documentation_are_valid_and_contain_every_key():
    docs = Path(__file__).parents[3] / "docs"
    text = "".join((docs / page).read_text(encoding="utf-8") for page in ("routes.md", "receivers.md"))
    example = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    settings = RouteSettings.model_validate(tomllib.loads(example)["route"])
    assert [route.name for route in settings.routes[:2]] == ["urgent", "everything"]
    for model in (
        ReceiverSettings,
        WebhookReceiverSettings,
        AlertmanagerSettings,
        PagerDutySettings,
        Route,
        DigestSettings,
    ):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in example or name == "routes"


def test_a_replay_has_console_receivers_only():
    assert {type(receiver) for receiver in build_receivers(SETTINGS, replay=True).values()} == {ConsoleReceiver}
