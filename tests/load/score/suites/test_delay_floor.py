"""The floor of a delay, from panes and evidence."""

import numpy as np
import pytest

from load.score.simulation.baseline_source import BaselineSource
from load.score.suites.delay_floor import compute_floor
from tests.load.score.scenarios import SEED, SETTINGS

pytestmark = pytest.mark.slow

TIMES_MS = 1_000_000_000_000 + np.arange(20_000) * 20


def test_the_floor_is_the_larger_of_panes_and_evidence() -> None:
    baseline = BaselineSource(SEED).learn(SETTINGS)
    floor = compute_floor(baseline, SETTINGS, {"refused": np.ones(20_000)}, TIMES_MS, "page")
    assert floor.panes == 151
    assert floor.records == floor.panes
    rare = (np.random.default_rng(1).random(20_000) < 0.1).astype(float)
    null_boundary = max(0.015, 1.5 * 0.0095)
    divergence = 0.1 * np.log(0.1 / null_boundary) + 0.9 * np.log(0.9 / (1 - null_boundary))
    evidence = compute_floor(baseline, SETTINGS, {"refused": rare}, TIMES_MS, "page").evidence
    assert evidence == pytest.approx(26.0 / divergence, rel=0.25)


def test_without_values_only_the_panes_count() -> None:
    baseline = BaselineSource(SEED).learn(SETTINGS)
    assert compute_floor(baseline, SETTINGS, {}, TIMES_MS[:1000], "page").records == 151
