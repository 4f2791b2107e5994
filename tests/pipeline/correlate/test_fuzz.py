"""Every message is used or becomes one dead letter, and the state can be written and restored after each message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.step import RawMessage
from schemas.incident import Incident
from schemas.relearn import Relearn
from schemas.topics import ALERTS, BASELINES, COMMANDS, DEAD_LETTERS, DEPLOYMENTS, DRIFTS
from tests.mutations import fuzz_settings, messages
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    dead_letters,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    tick,
)

HISTORY = [deployment(), drift(), drift("latency_ms", subject="search"), tick(START + 1_000)]
[OPENED, *_] = incidents(CorrelateStep(CorrelateSettings()).step(kafka(HISTORY)))
SENT = {
    DRIFTS: [
        *(
            drift(),
            drift("empty"),
            drift("input_tokens"),
            later(drift(), 60),
            later(drift(), 30, "evidence", records=900),
        ),
        *(tick(START + 20 * MINUTE), tick(START, wall=START + MINUTE)),
    ],
    DEPLOYMENTS: [
        deployment(),
        deployment("d-43", before_s=-60, from_version="v42", to_version="v41", expect_shift=["length"]),
        deployment("d-44", subject=None, environment="production", rollback_of="d-42"),
    ],
    COMMANDS: [
        *(command(action, OPENED.incident_id) for action in ("acknowledge", "mitigate", "resolve", "reopen", "accept")),
        command("classify", OPENED.incident_id, severity="P1", note="why"),
        command("assign", OPENED.incident_id, assignee="ben", communicated="external"),
        command("merge", OPENED.incident_id, into="inc-2"),
        command("silence", None, matchers=["subject=a"], until=START + 10 * MINUTE),
    ],
}
CONTENTS = {topic: [json.loads(contract.to_json()) for contract in contracts] for topic, contracts in SENT.items()}
INPUTS = st.sampled_from(list(CONTENTS)).flatmap(lambda topic: st.tuples(st.just(topic), messages(CONTENTS[topic])))
CONTRACTS = {ALERTS: Incident, BASELINES: Relearn}


@pytest.mark.slow
@fuzz_settings
@given(inputs=st.lists(INPUTS, min_size=1, max_size=12), replay=st.booleans())
def test_any_message_is_used_or_becomes_one_dead_letter(inputs, replay):
    step = CorrelateStep(CorrelateSettings(), replay=replay)
    step.step(kafka(HISTORY))
    stored = dict(step.changed())
    for offset, (topic, value) in enumerate(inputs, 100):
        outputs = step.step([RawMessage(topic, 0, offset, START + MINUTE, b"key", value)])
        assert len(dead_letters(outputs)) <= 1
        for output in outputs:
            if output.topic != DEAD_LETTERS:
                assert CONTRACTS[output.topic].from_json(output.value)
        stored |= dict(step.changed())
    restored = CorrelateStep(CorrelateSettings(), replay=replay)
    assert list(restored.restore((key, value) for key, value in stored.items() if value is not None)) == []
    later_tick = kafka([tick(START + 50 * MINUTE)], first_offset=500)
    assert restored.step(later_tick) == step.step(later_tick)
