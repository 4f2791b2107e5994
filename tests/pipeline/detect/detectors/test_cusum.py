import numpy as np
import pytest

from pipeline.detect.detectors.cusum import run_cusum, sample_evidence
from pipeline.detect.layout.grid import Samples


@pytest.mark.parametrize("seed", range(4))
def test_evidence_is_the_sum_of_logarithms_over_a_sample(seed):
    random = np.random.default_rng(seed)
    samples = Samples.cut(np.cumsum(random.random(200) < 0.15))
    surprise, stakes = random.uniform(-0.5, 0.5, (200, 3)), random.uniform(-1.9, 1.9, (8, 3))
    single = np.log1p(surprise[:, None] * stakes)
    evidence = sample_evidence(np.vstack([surprise, np.zeros((1, 3))])[samples.rows], stakes)
    np.testing.assert_allclose(evidence.transpose(1, 0, 2), np.add.reduceat(single, samples.starts), atol=1e-12)


def run(evidence, panes, *, before, bases, caps):
    path, peaks, after = run_cusum(
        Samples.cut(panes), np.array(evidence), np.array(before), np.array(bases), np.array(caps)
    )
    assert peaks.tolist() == path.max(axis=0).tolist()
    return path.T.tolist(), after.tolist()


def test_a_statistic_never_falls_below_zero_and_rises_again_from_there():
    path, after = run([[1.0], [-3.0], [2.0]], np.arange(3), before=[0.5], bases=[0.5], caps=[9.0])
    assert (path, after) == ([[1.5, 0.0, 2.0]], [2.0])


def test_each_pane_counts_at_most_the_cap():
    panes = np.array([7] * 24 + [8] * 8)
    assert Samples.cut(panes).lengths.tolist() == [8, 8, 8, 8]
    evidence = [[5.0], [5.0], [-1.0], [5.0]]
    path, after = run(evidence, panes, before=[1.0], bases=[1.0], caps=[3.0])
    assert path == [[4.0, 4.0, 4.0, 7.0]]
    assert after == [9.0]


def test_records_after_a_burst_in_its_pane_first_reduce_the_part_above_the_cap():
    evidence = [[5.0], [-1.0], [-2.0]]
    path, after = run(evidence, np.array([7] * 24), before=[0.0], bases=[0.0], caps=[3.0])
    assert (path, after) == ([[3.0, 3.0, 2.0]], [2.0])


def test_a_pane_that_continues_from_the_last_block_keeps_its_base():
    assert run([[5.0]], np.array([7] * 8), before=[3.0], bases=[1.0], caps=[3.0]) == ([[4.0]], [8.0])


def test_a_cap_applies_only_to_its_own_statistic():
    evidence = [[2.0, 0.5]] * 4
    path, after = run(evidence, np.array([7] * 32), before=[0.0, 0.0], bases=[0.0, 0.0], caps=[3.0, 3.0])
    assert path == [[2.0, 3.0, 3.0, 3.0], [0.5, 1.0, 1.5, 2.0]]
    assert after == [8.0, 2.0]
