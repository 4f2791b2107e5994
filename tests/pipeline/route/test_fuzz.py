"""Every message is used or becomes one dead letter, and the state can be written and restored after each message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from pipeline.step import RawMessage
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.notification import Notification
from schemas.topics import ALERTS, COMMANDS, DEAD_LETTERS
from tests.mutations import fuzz_settings, messages
from tests.pipeline.route.samples import STARTED, alert, incident
from topologies.console.cards import plain_card
from topologies.receivers.webhook import cloud_event

SILENCE = Command(
    command_id="c-1",
    at=STARTED,
    author="ann",
    action="silence",
    matchers=['subject="support-bot"', 'severity=~"P3|P4"'],
    until=STARTED + 60_000,
)
CONTENTS = {
    ALERTS: [
        json.loads(incident(**changes).to_json())
        for changes in (
            {},
            {"revision": 2, "severity": "P1"},
            {"revision": 3, "status": "resolved"},
            {"incident_id": "b"},
        )
    ],
    COMMANDS: [json.loads(SILENCE.to_json())],
}
INPUTS = st.sampled_from(list(CONTENTS)).flatmap(lambda topic: st.tuples(st.just(topic), messages(CONTENTS[topic])))
SENT = Delivery("sent", "", 1, STARTED)
FAILED = Delivery("failed", "the receiver answered 500", 5)


@pytest.mark.slow
@fuzz_settings
@given(
    inputs=st.lists(INPUTS, min_size=1, max_size=12),
    delivery=st.sampled_from([SENT, FAILED]),
    tick=st.sampled_from([None, STARTED, STARTED + 60_000, STARTED + 10**9]),
)
def test_any_message_is_used_or_becomes_one_dead_letter(inputs, delivery, tick):
    step, stored = RouteStep(RouteSettings(), tick), {}
    for offset, (topic, value) in enumerate(inputs):
        outputs = step.step([RawMessage(topic, 0, offset, STARTED, b"key", value)])
        if tick is not None:
            outputs += step.tick(tick)
        assert sum(output.topic == DEAD_LETTERS for output in outputs) <= 1
        for dispatch in step.take_pending():
            assert json.dumps(cloud_event(dispatch))
            assert plain_card(dispatch.incident).encode()
            outputs += step.record_delivery(dispatch, delivery)
        for output in outputs:
            contract = DeadLetter if output.topic == DEAD_LETTERS else Notification
            assert contract.from_json(output.value)
        stored |= dict(step.changed())
    restored = RouteStep(RouteSettings(), tick)
    assert list(restored.restore((key, value) for key, value in stored.items() if value is not None)) == []
    newest = alert(incident(revision=1_000), 500)
    assert restored.step([newest]) == step.step([newest])
    assert len(restored.take_pending()) == len(step.take_pending())
