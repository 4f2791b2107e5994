import asyncio
import logging
import re
import tomllib
from pathlib import Path

from pipeline.route.dispatch import Delivery, Dispatch
from pipeline.route.settings import ReceiverSettings, Route, RouteSettings
from pipeline.route.step import RouteStep
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import alert, incident
from topologies.receivers import build, deliver_pending
from topologies.receivers.console import ConsoleReceiver
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
        self, arrived: list[str], gate: asyncio.Event | None = None, opens: asyncio.Event | None = None
    ) -> None:
        self.arrived, self.gate, self.opens = arrived, gate, opens

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        if self.gate is not None:
            await self.gate.wait()
        self.arrived.append(dispatch.notification_id)
        if self.opens is not None and len(self.arrived) == 2:
            self.opens.set()
        return Delivery("sent", "", 1, 1_795_489_999_000)


class Broken:
    async def deliver(self, dispatch: Dispatch) -> Delivery:
        raise RuntimeError(dispatch.notification_id)


def decided() -> RouteStep:
    step = RouteStep(SETTINGS)
    step.step([alert(incident(incident_id=name), offset) for offset, name in enumerate("ab")])
    return step


def test_every_kind_of_receiver_is_built_under_its_name():
    built = build(SETTINGS, replay=False)
    assert isinstance(built["fast"], ConsoleReceiver)
    assert isinstance(built["slow"], WebhookReceiver)


async def test_a_slow_receiver_holds_up_no_other_and_each_gets_them_in_order():
    arrived: list[str] = []
    gate = asyncio.Event()
    step = decided()
    # The slow one moves only when the fast one has got both: one after the other, this would never end.
    outputs = await deliver_pending(step, {"slow": Recorder(arrived, gate), "fast": Recorder(arrived, opens=gate)})
    assert arrived == ["a:1:fast", "b:1:fast", "a:1:slow", "b:1:slow"]
    notes = [Notification.from_json(output.value or b"") for output in outputs]
    assert [note.notification_id for note in notes] == ["a:1:slow", "a:1:fast", "b:1:slow", "b:1:fast"]
    assert {note.outcome for note in notes} == {"sent"}


async def test_afterwards_nothing_is_pending_and_a_checkpoint_is_possible():
    step = decided()
    await deliver_pending(step, {"slow": Recorder([]), "fast": Recorder([])})
    assert step.take_pending() == []
    assert [key for key, _ in step.changed()] == [b"incident/a", b"incident/b"]


async def test_a_receiver_that_fails_in_itself_is_a_failed_delivery_and_the_others_go_on(caplog):
    step = decided()
    with caplog.at_level(logging.WARNING, "driftwire"):
        outputs = await deliver_pending(step, {"slow": Broken(), "fast": Recorder([])})
    assert [output.topic for output in outputs].count(DEAD_LETTERS) == 2
    notes = [Notification.from_json(output.value or b"") for output in outputs if output.topic == NOTIFICATIONS]
    assert [(note.receiver, note.outcome) for note in notes[:2]] == [("slow", "failed"), ("fast", "sent")]
    assert notes[0].reason == "the receiver failed in itself (RuntimeError)"
    assert "a:1:slow was not sent" in caplog.text


async def test_nothing_pending_is_nothing_to_do():
    assert await deliver_pending(RouteStep(SETTINGS), {}) == []


def test_the_settings_in_the_documentation_are_right_and_show_every_key():
    text = (Path(__file__).parents[3] / "docs" / "receivers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    settings = RouteSettings.model_validate(tomllib.loads(example)["route"])
    assert [route.name for route in settings.routes] == ["urgent", "everything"]
    for model in (ReceiverSettings, Route):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in example or name == "routes"


def test_a_replay_tells_nobody_outside():
    assert {type(one) for one in build(SETTINGS, replay=True).values()} == {ConsoleReceiver}
