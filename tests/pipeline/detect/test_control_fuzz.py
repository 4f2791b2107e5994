"""Every control message is used or becomes one dead letter, and the state can be written after each message."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.relearn import Relearn
from schemas.topics import BASELINES, DEAD_LETTERS
from tests.mutations import fuzz_settings, messages
from tests.pipeline.detect.streams import START_MS
from tests.pipeline.detect.test_step import BASELINE

RELEARN = Relearn(relearn_id="r-1", subject="bot", at=START_MS, signals=["latency_ms"], reason="accepted")
CONTENTS = [json.loads(contract.to_json()) for contract in (BASELINE, RELEARN)]


@fuzz_settings
@given(values=st.lists(messages(CONTENTS), min_size=1, max_size=4))
def test_any_control_message_is_used_or_becomes_one_dead_letter(values):
    step = DetectStep(0, DetectSettings(), replay=True)
    step.control(RawMessage(BASELINES, 0, 0, START_MS, None, BASELINE.to_json()))
    for offset, value in enumerate(values, 1):
        outputs = step.control(RawMessage(BASELINES, 0, offset, START_MS, None, value))
        assert sum(output.topic == DEAD_LETTERS for output in outputs) <= 1
        list(step.changed())
