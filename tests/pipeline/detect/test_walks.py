import numpy as np
import pytest

from pipeline.detect.samples import samples_of
from pipeline.detect.walks import evidence, walked


@pytest.mark.parametrize("seed", range(4))
def test_evidence_is_the_sum_of_logarithms_over_a_sample(seed):
    random = np.random.default_rng(seed)
    panes = np.cumsum(random.random(200) < 0.15)
    samples = samples_of(panes)
    surprise, stakes = random.uniform(-0.5, 0.5, (200, 3)), random.uniform(-1.9, 1.9, (3, 8))
    single = np.log1p(surprise[:, :, None] * stakes)
    np.testing.assert_allclose(evidence(samples, surprise, stakes), np.add.reduceat(single, samples.starts), atol=1e-12)


def test_a_walk_never_falls_below_zero_and_starts_again_from_there():
    steps = np.array([1.0, -3.0, 2.0])[:, None, None]
    samples = samples_of(np.arange(3))
    paths = walked(samples, steps, np.array([[0.5]]), np.array([[0.5]]), np.array([9.0]))
    assert paths[:, 0, 0].tolist() == [1.5, 0.0, 2.0]


def test_a_pane_adds_the_cap_at_most_and_the_next_as_much_again():
    steps = np.array([5.0, 5.0, -1.0, 5.0])[:, None, None]
    samples = samples_of(np.array([7] * 24 + [8] * 8))
    assert samples.lengths.tolist() == [8, 8, 8, 8]
    paths = walked(samples, steps, np.array([[1.0]]), np.array([[1.0]]), np.array([3.0]))
    assert paths[:, 0, 0].tolist() == [4.0, 4.0, 3.0, 6.0]


def test_a_pane_that_goes_on_from_the_last_block_keeps_its_base():
    steps = np.array([5.0])[:, None, None]
    samples = samples_of(np.array([7] * 8))
    paths = walked(samples, steps, np.array([[3.0]]), np.array([[1.0]]), np.array([3.0]))
    assert paths[:, 0, 0].tolist() == [4.0]


def test_a_cap_binds_its_own_walk_alone():
    steps = np.stack([np.full((4, 2), 2.0), np.full((4, 2), 0.5)], axis=1)
    samples = samples_of(np.array([7] * 32))
    paths = walked(samples, steps, np.zeros((2, 2)), np.zeros((2, 2)), np.array([3.0, 3.0]))
    assert paths[:, 0, 0].tolist() == [2.0, 3.0, 3.0, 3.0]
    assert paths[:, 1, 1].tolist() == [0.5, 1.0, 1.5, 2.0]
