"""The walks themselves: evidence of the records of a block, and Page's recursion over it with a cap for each pane."""

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.samples import SAMPLE_RECORDS, Samples


def evidence(samples: Samples, surprise: NDArray[np.float64], stakes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The evidence of each sample: the sum of ln(1 + stake * surprise) over its records.

    It is taken as one logarithm of a product, which costs an eighth. A record that takes away most leaves a factor of
    0.05, so a product of eight stays far from 0.

    Parameters
    ----------
    samples
        T of them.
    surprise
        Shape ``(R, S)``: how far each record lies from the side's null; 0 where it does not carry the signal.
    stakes
        Shape ``(S, K)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(T, S, K)``.
    """
    order = np.argsort(-samples.lengths, kind="stable")
    starts, lengths = samples.starts[order], samples.lengths[order]
    products = surprise[starts][:, :, None] * stakes
    products += 1.0
    factors = np.empty_like(products)
    for offset in range(1, SAMPLE_RECORDS):
        longer = int(np.count_nonzero(lengths > offset))
        if not longer:
            break
        part = factors[:longer]
        np.multiply(surprise[starts[:longer] + offset][:, :, None], stakes, out=part)
        part += 1.0
        products[:longer] *= part
    np.log(products, out=products)
    summed: NDArray[np.float64] = factors
    summed[order] = products
    return summed


def walked(
    samples: Samples,
    steps: NDArray[np.float64],
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Where each walk stands after each sample: W <- max(0, min(W + step, W at the start of the pane + cap)).

    Parameters
    ----------
    steps
        Shape ``(T, S, K)``.
    before, bases
        Shape ``(S, K)``: where the walks stand now, and where they stood at the start of the first sample's pane.
    caps
        Shape ``(S,)``: what one pane may add.

    Returns
    -------
    numpy.ndarray
        Shape ``(T, S, K)``; a walk at its lowest is exactly 0.
    """
    paths = np.cumsum(steps, axis=0)
    paths += before
    lowest = np.minimum.accumulate(paths, axis=0)
    np.minimum(lowest, 0.0, out=lowest)
    paths -= lowest
    _apply_cap(samples, steps, paths, before=before, bases=bases, caps=caps)
    return paths


def _apply_cap(
    samples: Samples,
    steps: NDArray[np.float64],
    paths: NDArray[np.float64],
    *,
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
) -> None:
    """Step through the walks that rose by more than the cap within a pane; the others are right as they are."""
    side, bet = np.nonzero(paths.max(axis=0) > caps[:, None])
    if not side.size:
        return
    cap, high = caps[side], paths[:, side, bet]
    heads = samples.pane_starts
    floors = np.concatenate([bases[side, bet][None], high[heads[1:] - 1]])
    bound = (np.maximum.reduceat(high, heads, axis=0) > floors + cap).any(axis=0)
    side, bet, cap = side[bound], bet[bound], cap[bound]
    if not side.size:
        return
    walk, base, step = before[side, bet], bases[side, bet], steps[:, side, bet]
    begins = np.zeros(samples.starts.size, dtype=bool)
    begins[heads[1:]] = True
    stepped = np.empty_like(step)
    for sample in range(step.shape[0]):
        if begins[sample]:
            base = walk
        walk = np.maximum(np.minimum(walk + step[sample], base + cap), 0.0)
        stepped[sample] = walk
    paths[:, side, bet] = stepped
