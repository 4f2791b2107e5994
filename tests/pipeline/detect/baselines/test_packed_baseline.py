import random

import numpy as np
import orjson
import pytest

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from tests.pipeline.detect.streams import START_MS, as_json, message, record
from tests.pipeline.detect.test_step import BASELINE


def test_a_packed_baseline_is_read_equal_and_takes_a_fraction_of_its_size():
    knots = np.sort(np.random.default_rng(1).lognormal(6, 1, size=513)).tolist()
    signals = {
        name: signal if signal.knots is None else signal.model_copy(update={"knots": knots})
        for name, signal in BASELINE.signals.items()
    }
    baseline = BASELINE.model_copy(update={"signals": signals, "effective_at": 1_795_489_920_000})
    packed = PackedBaseline(baseline)
    assert packed.read() == baseline
    assert packed.read().to_json() == baseline.to_json()
    assert (packed.baseline_version, packed.source) == (baseline.baseline_version, baseline.source)
    assert packed.effective_at == baseline.effective_at
    assert len(packed._content) + len(packed._knots) < len(baseline.to_json()) / 2


@pytest.mark.parametrize("signals", [{}, {"error": BASELINE.signals["error"]}])
def test_a_baseline_without_values_is_read_equal(signals):
    baseline = BASELINE.model_copy(update={"signals": signals})
    assert PackedBaseline(baseline).read() == baseline
    assert PackedBaseline(baseline).effective_at == 0


def from_value(value):
    return PackedBaseline.from_message(RawMessage("driftwire.baselines", 0, 0, 0, b"k", value))


@pytest.mark.parametrize("effective_at", [None, 1_795_489_920_000])
@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_baseline_of_a_message_is_read_when_it_is_needed(effective_at, is_ordered):
    baseline = BASELINE.model_copy(update={"effective_at": effective_at, "longest_gap_s": 7.0, "quietest_per_s": 2.0})
    value = baseline.to_json()
    if not is_ordered:
        value = orjson.dumps(dict(reversed(orjson.loads(value).items())))
    packed = from_value(value)
    assert packed.read() == baseline
    assert not packed.is_checked
    expected = PackedBaseline(baseline)
    names = ("subject", "baseline_version", "source", "effective_at", "longest_gap_s", "quietest_per_s")
    assert [getattr(packed, name) for name in names] == [getattr(expected, name) for name in names]


@pytest.mark.parametrize("value", [b"", b"?", b"{}", b'{"type":"relearn","subject":"bot"}', b'{"a":1,"signals":{}'])
def test_a_message_that_is_not_a_baseline_is_not_packed(value):
    assert from_value(value) is None


def test_a_covered_baseline_that_is_not_usable_is_ignored():
    signals = {
        name: signal if signal.knots is None else signal.model_copy(update={"knots": signal.knots[::-1]})
        for name, signal in BASELINE.signals.items()
    }
    value = BASELINE.model_copy(update={"subject": "bot", "signals": signals}).to_json()
    step = DetectStep(0, DetectSettings(), replay=False)
    assert step.control(RawMessage("driftwire.baselines", 0, 0, START_MS, b"k", value), is_covered=True) == []
    assert list(step.restore([])) == []
    step.step([message(0, as_json(record(random.Random(1), 0, START_MS)))])
    assert step.streams["bot"].baseline_version is None
    (letter,) = step.control(RawMessage("driftwire.baselines", 0, 1, START_MS, b"k", value))
    assert letter.topic == "driftwire.dead-letters"
