import numpy as np
import pytest

from pipeline.detect.layout.samples import SAMPLE_RECORDS, cut_samples


@pytest.mark.parametrize("seed", range(6))
def test_samples_cover_all_rows_and_end_with_their_pane(seed):
    random = np.random.default_rng(seed)
    panes = np.cumsum(random.random(500) < random.choice([0.01, 0.2, 0.9]))
    samples = cut_samples(panes)
    assert samples.lengths.sum() == 500
    assert samples.lengths.max() <= SAMPLE_RECORDS
    for start, length in zip(samples.starts, samples.lengths, strict=True):
        assert len(set(panes[start : start + length].tolist())) == 1
    heads = samples.starts[samples.pane_starts]
    assert panes[heads].tolist() == np.unique(panes).tolist()
    assert (samples.first_pane, samples.last_pane) == (panes[0], panes[-1])


def test_the_rows_of_a_sample_stand_below_each_other_and_no_row_stands_where_it_has_no_more():
    samples = cut_samples(np.array([1] * 9 + [2] * 2))
    assert samples.rows.T.tolist() == [list(range(8)), [8] + [11] * 7, [9, 10] + [11] * 6]


def test_one_row_is_one_sample():
    assert cut_samples(np.array([7])).lengths.tolist() == [1]
    assert cut_samples(np.array([7])).rows.tolist() == [[0]]
