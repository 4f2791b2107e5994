import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.blocks.embeddings import DIMENSIONS_MAX, SETTLING_RECORDS, Embeddings


def around(direction, count, seed, noise=0.1):
    """Embeddings of any length around a direction."""
    random = np.random.default_rng(seed)
    vectors = np.asarray(direction) + random.normal(0, noise, (count, len(direction)))
    return (vectors * random.uniform(0.1, 10, (count, 1))).tolist()


def settled():
    embeddings = Embeddings()
    embeddings.similarities(around([1, 0, 0, 0], SETTLING_RECORDS, 1))
    return embeddings


def test_nothing_is_told_until_it_is_settled_what_is_usual():
    embeddings = Embeddings()
    found, unused = embeddings.similarities(around([1, 0, 0, 0], SETTLING_RECORDS + 1, 1))
    assert np.isnan(found[:-1]).all()
    assert found[-1] > 0.9
    assert not unused


def test_what_points_elsewhere_is_less_similar_and_size_does_not_matter():
    (same, large, aside, opposite), _ = settled().similarities(
        [[1, 0, 0, 0], [1e200, 0, 0, 0], [1, 1, 0, 0], [-1e-200, 0, 0, 0]]
    )
    assert same == large == pytest.approx(1, abs=0.001)
    assert aside == pytest.approx(0.7071, abs=0.01)
    assert opposite == pytest.approx(-1, abs=0.001)


def test_an_embedding_of_another_length_has_nothing_in_common():
    found, unused = settled().similarities([[1, 0, 0], [1, 0, 0, 0, 0]])
    assert found.tolist() == [0, 0]
    assert not unused


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([], "wrong_type"),
        (["1", "2", "3", "4"], "wrong_type"),
        ([True, False, True, True], "wrong_type"),
        ([[1, 2], [3, 4]], "wrong_type"),
        ([1, [2], 3, 4], "wrong_type"),
        ([1, None, 3, 4], "wrong_type"),
        ([1, 10**400, 3, 4], "wrong_type"),
        ([0, 0, 0, 0], "out_of_bounds"),
        ([1, float("nan"), 0, 0], "out_of_bounds"),
        ([1, float("inf"), 0, 0], "out_of_bounds"),
        ([1.0] * (DIMENSIONS_MAX + 1), "too_long"),
    ],
)
def test_what_is_no_direction_is_not_used_and_counted(bad, reason):
    embeddings = settled()
    before = embeddings.centroid
    (found, good), unused = embeddings.similarities([bad, [1, 0, 0, 0]])
    assert np.isnan(found)
    assert good > 0.9
    assert unused == {reason: 1}
    assert embeddings.centroid == before


def test_a_baseline_says_what_is_usual():
    embeddings = Embeddings()
    embeddings.follow(settled().centroid)
    found, _ = embeddings.similarities(around([1, 0, 0, 0], 100, 2))
    assert found.min() > 0.7


@pytest.mark.parametrize("cut", [1, 150, 199, 200, 201, 299])
def test_batches_and_a_state_taken_up_change_nothing(cut):
    stream = around([1, 2, 0, 0], 300, 3)
    whole, first, second = Embeddings(), Embeddings(), Embeddings()
    expected, _ = whole.similarities(stream)
    before, _ = first.similarities(stream[:cut])
    second.load(decode(encode(first.dump(), kind="test", settings_hash=""), kind="test", settings_hash=""))
    after, _ = second.similarities(stream[cut:])
    np.testing.assert_array_equal(np.concatenate([before, after]), expected)
    assert encode(second.dump(), kind="test", settings_hash="") == encode(whole.dump(), kind="test", settings_hash="")
