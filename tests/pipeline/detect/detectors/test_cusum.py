import numpy as np
import pytest

from pipeline.detect.detectors.cusum import evidence, run_cusum
from pipeline.detect.layout.samples import cut_samples


@pytest.mark.parametrize("seed", range(4))
def test_evidence_is_the_sum_of_logarithms_over_a_sample(seed):
    random = np.random.default_rng(seed)
    samples = cut_samples(np.cumsum(random.random(200) < 0.15))
    surprise, stakes = random.uniform(-0.5, 0.5, (200, 3)), random.uniform(-1.9, 1.9, (8, 3))
    single = np.log1p(surprise[:, None] * stakes)
    found = evidence(np.vstack([surprise, np.zeros((1, 3))])[samples.rows], stakes)
    np.testing.assert_allclose(found.transpose(1, 0, 2), np.add.reduceat(single, samples.starts), atol=1e-12)


def walk(steps, panes, *, before, bases, caps):
    paths, peaks, after = run_cusum(
        cut_samples(panes), np.array(steps), np.array(before), np.array(bases), np.array(caps)
    )
    assert peaks.tolist() == paths.max(axis=0).tolist()
    return paths.T.tolist(), after.tolist()


def test_a_walk_never_falls_below_zero_and_starts_again_from_there():
    found, after = walk([[1.0], [-3.0], [2.0]], np.arange(3), before=[0.5], bases=[0.5], caps=[9.0])
    assert (found, after) == ([[1.5, 0.0, 2.0]], [2.0])


def test_a_pane_counts_the_cap_at_most_and_the_next_as_much_again():
    panes = np.array([7] * 24 + [8] * 8)
    assert cut_samples(panes).lengths.tolist() == [8, 8, 8, 8]
    steps = [[5.0], [5.0], [-1.0], [5.0]]
    found, after = walk(steps, panes, before=[1.0], bases=[1.0], caps=[3.0])
    assert found == [[4.0, 4.0, 4.0, 7.0]]
    assert after == [9.0]


def test_what_follows_a_burst_in_its_pane_takes_from_what_the_burst_had_too_much():
    steps = [[5.0], [-1.0], [-2.0]]
    found, after = walk(steps, np.array([7] * 24), before=[0.0], bases=[0.0], caps=[3.0])
    assert (found, after) == ([[3.0, 3.0, 2.0]], [2.0])


def test_a_pane_that_goes_on_from_the_last_block_keeps_its_base():
    assert walk([[5.0]], np.array([7] * 8), before=[3.0], bases=[1.0], caps=[3.0]) == ([[4.0]], [8.0])


def test_a_cap_binds_its_own_walk_alone():
    steps = [[2.0, 0.5]] * 4
    found, after = walk(steps, np.array([7] * 32), before=[0.0, 0.0], bases=[0.0, 0.0], caps=[3.0, 3.0])
    assert found == [[2.0, 3.0, 3.0, 3.0], [0.5, 1.0, 1.5, 2.0]]
    assert after == [8.0, 2.0]
