import numpy as np
import pytest

from pipeline.detect.baselines import PackedBaseline
from tests.pipeline.detect.test_step import BASELINE


def test_a_packed_baseline_is_read_equal_and_takes_a_fraction_of_its_size():
    random = np.random.default_rng(1)
    knots = np.sort(random.lognormal(6, 1, size=513)).tolist()
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
