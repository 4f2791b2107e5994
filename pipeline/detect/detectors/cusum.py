"""The walks themselves: evidence of the records of a block, and Page's recursion over it with a cap for each pane."""

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout import Samples


def evidence(surprise: NDArray[np.float64], stakes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The evidence of each sample: the sum of ln(1 + stake * surprise) over its records.

    It is taken as one logarithm of a product, which costs an eighth. A record that takes away most leaves a factor of
    0.05, so a product of eight stays far from 0.

    Parameters
    ----------
    surprise
        Shape ``(H, T, S)``: of T samples the records one below the other, how far each lies from the side's null; 0
        where it does not carry the signal.
    stakes
        Shape ``(K, S)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(K, T, S)``.
    """
    height, count, sides = surprise.shape
    # As often as there are samples, so that the innermost loops are long.
    repeated = np.empty((stakes.shape[0], count, sides))
    repeated[:] = stakes[:, None]
    products: NDArray[np.float64] = surprise[0] * repeated
    products += 1.0
    factors = np.empty_like(products)
    for offset in range(1, height):
        np.multiply(surprise[offset], repeated, out=factors)
        factors += 1.0
        products *= factors
    np.log(products, out=products)
    return products


def run_cusum(
    samples: Samples,
    steps: NDArray[np.float64],
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where each walk stands after each sample: W <- max(0, W + step), of which a pane counts its beginning + cap at most.

    Within a pane a walk goes on above what counts, so that what follows a burst in the same pane takes nothing from it;
    into the next pane it takes what counts.

    Parameters
    ----------
    steps
        Shape ``(T, W)``.
    before, bases
        Shape ``(W,)``: where the walks stand now, and what counted at the start of the first sample's pane.
    caps
        Shape ``(W,)``: what one pane may add.

    Returns
    -------
    paths, peaks, after
        Shapes ``(T, W)``, ``(W,)`` and ``(W,)``: what counts of the walks, at their lowest exactly 0; the highest of it;
        and where the walks stand after the last sample.
    """
    paths = np.empty_like(steps)
    zero, walk = np.zeros(steps.shape[1]), before
    for step, path in zip(steps, paths, strict=True):
        np.add(walk, step, out=path)
        walk = np.maximum(path, zero, out=path)
    peaks = paths.max(axis=0)
    after = paths[-1]
    high = (peaks > caps).nonzero()[0]
    if high.size:
        after = after.copy()
        if _apply_cap(samples, steps, paths, after, before=before, bases=bases, caps=caps, walks=high):
            peaks = paths.max(axis=0)
    return paths, peaks, after


def _apply_cap(
    samples: Samples,
    steps: NDArray[np.float64],
    paths: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
    walks: NDArray[np.intp],
) -> bool:
    """Step through the walks that rose by more than the cap within a pane; the others are right as they are."""
    high, heads = paths[:, walks], samples.pane_starts
    floors = np.concatenate([bases[walks][None], high[heads[1:] - 1]])
    bound = (np.maximum.reduceat(high, heads, axis=0) > floors + caps[walks]).any(axis=0)
    walks = walks[bound]
    if not walks.size:
        return False
    walk, base, cap, step = before[walks], bases[walks], caps[walks], steps[:, walks]
    begins = set(heads[1:].tolist())
    counted = np.empty_like(step)
    for sample in range(step.shape[0]):
        if sample in begins:
            base = walk = np.minimum(walk, base + cap)
        walk = np.maximum(walk + step[sample], 0.0)
        counted[sample] = np.minimum(walk, base + cap)
    paths[:, walks] = counted
    after[walks] = walk
    return True
