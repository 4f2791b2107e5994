import asyncio
import logging
import re
import tomllib
from pathlib import Path

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.settings import ReceiverSettings, Route, RouteSettings
from pipeline.route.step import RouteStep
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import alert, incident
from topologies.receivers.console import ConsoleReceiver
from topologies.receivers.delivery import NotificationSender, build_receivers
from topologies.receivers.webhook import WebhookReceiver

SETTINGS = RouteSettings.model_validate(
    {
        "receivers": [
            {"name": "fast", "kind": "console"},
            {"name": "slow", "kind": "webhook", "url": "http://slow.example.org"},
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


async def test_a_slow_receiver_does_not_delay_another_and_each_keeps_the_order():
    arrived: list[str] = []
    fast_is_done = asyncio.Event()
    step = step_with_pending_dispatches()
    # The slow receiver waits until the fast one has both. If they worked one after another, this would never end.
    outputs = await NotificationSender(
        {"slow": Recorder(arrived, fast_is_done), "fast": Recorder(arrived, sets=fast_is_done)}
    ).send_pending(step)
    assert arrived == ["a:1:fast", "b:1:fast", "a:1:slow", "b:1:slow"]
    notes = [Notification.from_json(output.value or b"") for output in outputs]
    assert [note.notification_id for note in notes] == ["a:1:slow", "a:1:fast", "b:1:slow", "b:1:fast"]
    assert {note.outcome for note in notes} == {"sent"}


async def test_nothing_is_pending_afterwards_and_the_state_can_be_written():
    step = step_with_pending_dispatches()
    await NotificationSender({"slow": Recorder([]), "fast": Recorder([])}).send_pending(step)
    assert step.take_pending() == []
    keys = [b"alert/a", b"alert/b", b"clock/", b"incident/a", b"incident/b"]
    assert [key for key, _ in step.changed()] == keys


async def test_an_internal_error_of_a_receiver_is_a_failed_delivery_and_the_others_continue(caplog):
    step = step_with_pending_dispatches()
    with caplog.at_level(logging.WARNING, "driftwire"):
        outputs = await NotificationSender({"slow": BrokenReceiver(), "fast": Recorder([])}).send_pending(step)
    assert [output.topic for output in outputs].count(DEAD_LETTERS) == 2
    notes = [Notification.from_json(output.value or b"") for output in outputs if output.topic == NOTIFICATIONS]
    assert [(note.receiver, note.outcome) for note in notes[:2]] == [("slow", "failed"), ("fast", "sent")]
    assert notes[0].reason == "the receiver raised an internal error (RuntimeError)"
    assert "a:1:slow was not sent" in caplog.text


async def test_a_delivered_notification_is_not_sent_again_if_its_checkpoint_fails():
    arrived: list[str] = []
    sender = NotificationSender({"slow": Recorder(arrived), "fast": Recorder(arrived)})
    first = await sender.send_pending(step_with_pending_dispatches())
    # The checkpoint fails, and the step is restored from the previous checkpoint.
    assert await sender.send_pending(step_with_pending_dispatches()) == first
    assert sorted(arrived) == ["a:1:fast", "a:1:slow", "b:1:fast", "b:1:slow"]


async def test_a_notification_that_failed_is_sent_again_if_its_checkpoint_fails():
    receivers = {"slow": BrokenReceiver(), "fast": BrokenReceiver()}
    sender = NotificationSender(receivers)
    await sender.send_pending(step_with_pending_dispatches())
    arrived: list[str] = []
    receivers |= {"slow": Recorder(arrived), "fast": Recorder(arrived)}
    await sender.send_pending(step_with_pending_dispatches())
    assert len(arrived) == 4


async def test_the_memory_of_sent_notifications_is_bounded(monkeypatch):
    monkeypatch.setattr("topologies.receivers.delivery.SENT_MAX", 10)
    step = RouteStep(RouteSettings())
    step.step([alert(incident(incident_id=f"inc-{number}"), number) for number in range(13)])
    sender = NotificationSender({"console": Recorder([])})
    await sender.send_pending(step)
    assert len(sender._sent) == 10


async def test_without_pending_dispatches_nothing_is_sent():
    assert await NotificationSender({}).send_pending(RouteStep(SETTINGS)) == []


def test_the_settings_in_the_documentation_are_valid_and_contain_every_key():
    text = (Path(__file__).parents[3] / "docs" / "receivers.md").read_text(encoding="utf-8")
    example = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    settings = RouteSettings.model_validate(tomllib.loads(example)["route"])
    assert [route.name for route in settings.routes] == ["urgent", "everything"]
    for model in (ReceiverSettings, Route):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in example or name == "routes"


def test_a_replay_has_console_receivers_only():
    assert {type(receiver) for receiver in build_receivers(SETTINGS, replay=True).values()} == {ConsoleReceiver}
