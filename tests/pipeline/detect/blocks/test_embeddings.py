import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.blocks.embeddings import DIMENSIONS_MAX, SETTLING_EMBEDDINGS, EmbeddingSimilarity


def around(direction, count, seed, noise=0.1):
    """Return embeddings of any length around a direction."""
    random = np.random.default_rng(seed)
    vectors = np.asarray(direction) + random.normal(0, noise, (count, len(direction)))
    return (vectors * random.uniform(0.1, 10, (count, 1))).tolist()


def settled():
    embeddings = EmbeddingSimilarity()
    embeddings.compare(around([1, 0, 0, 0], SETTLING_EMBEDDINGS, 1))
    return embeddings


def test_there_is_no_value_before_the_centroid_is_fixed():
    embeddings = EmbeddingSimilarity()
    similarities, unused = embeddings.compare(around([1, 0, 0, 0], SETTLING_EMBEDDINGS + 1, 1))
    assert np.isnan(similarities[:-1]).all()
    assert similarities[-1] > 0.9
    assert not unused


def test_the_similarity_depends_on_the_direction_and_not_on_the_length():
    (same, large, diagonal, opposite), _ = settled().compare(
        [[1, 0, 0, 0], [1e200, 0, 0, 0], [1, 1, 0, 0], [-1e-200, 0, 0, 0]]
    )
    assert same == large == pytest.approx(1, abs=0.001)
    assert diagonal == pytest.approx(0.7071, abs=0.01)
    assert opposite == pytest.approx(-1, abs=0.001)


def test_an_embedding_of_another_length_has_the_similarity_0():
    similarities, unused = settled().compare([[1, 0, 0], [1, 0, 0, 0, 0]])
    assert similarities.tolist() == [0, 0]
    assert not unused


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([], "bad_items"),
        (["1", "2", "3", "4"], "bad_items"),
        ([True, False, True, True], "bad_items"),
        ([[1, 2], [3, 4]], "bad_items"),
        ([1, [2], 3, 4], "bad_items"),
        ([1, None, 3, 4], "bad_items"),
        ([1, 10**400, 3, 4], "bad_items"),
        ([0, 0, 0, 0], "out_of_bounds"),
        ([1, float("nan"), 0, 0], "out_of_bounds"),
        ([1, float("inf"), 0, 0], "out_of_bounds"),
        ([1.0] * (DIMENSIONS_MAX + 1), "too_long"),
    ],
)
def test_an_embedding_without_a_direction_is_counted_and_not_used(bad, reason):
    embeddings = settled()
    before = embeddings.centroid
    (undefined, good), unused = embeddings.compare([bad, [1, 0, 0, 0]])
    assert np.isnan(undefined)
    assert good > 0.9
    assert unused == {0: reason}
    assert embeddings.centroid == before


def test_a_baseline_sets_the_centroid():
    embeddings = EmbeddingSimilarity()
    embeddings.apply_centroid(settled().centroid)
    similarities, _ = embeddings.compare(around([1, 0, 0, 0], 100, 2))
    assert similarities.min() > 0.7


@pytest.mark.parametrize("cut", [1, 150, 199, 200, 201, 299])
def test_batches_and_a_restore_change_nothing(cut):
    stream = around([1, 2, 0, 0], 300, 3)
    at_once, first, second = EmbeddingSimilarity(), EmbeddingSimilarity(), EmbeddingSimilarity()
    expected, _ = at_once.compare(stream)
    before, _ = first.compare(stream[:cut])
    second.load(decode(encode(first.dump(), kind="test"), kind="test"))
    after, _ = second.compare(stream[cut:])
    np.testing.assert_array_equal(np.concatenate([before, after]), expected)
    assert encode(second.dump(), kind="test") == encode(at_once.dump(), kind="test")
