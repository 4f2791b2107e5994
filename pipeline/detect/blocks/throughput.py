"""Throughput ratio: requests in ten seconds relative to the mean of the preceding ten minutes.

A daily cycle has little effect on it. A request with a sampling probability counts as 1 / probability requests.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records
from pipeline.detect.blocks.rate_ratio import RateRatio
from pipeline.detect.signals import catalogue

HISTORY = 60
"""Number of observations in the reference. Higher values make the ratio steadier, but slow changes then look like
drops."""

HISTORY_MIN = 30
"""Minimum number of observations before a ratio is computed."""

REQUESTS_MIN = 10.0
"""Minimum number of requests in ten seconds of the reference. With fewer, chance decides what ten seconds contain, and only
the requests per minute (``request_rate``) show a loss."""

WEIGHT_UNIT = 2.0**-16
"""Weights are rounded to a multiple of this unit. Sums of such weights are exact in float64, so the ratio does not
depend on the order in which records are added."""

_THROUGHPUT_RATIO = catalogue.SIGNAL_INDEX["throughput_ratio"]


def request_weights(records: Records) -> NDArray[np.float64] | None:
    """Return the number of requests that each record represents, or None if each represents one request.

    A record without a sampling probability represents one request. If it was sampled by outcome, the number is unknown,
    and the weight is NaN. No ratio is computed from such records.

    Returns
    -------
    numpy.ndarray or None
        Shape ``(R,)``.
    """
    sampled, probabilities = records.labels.get("sampled"), records.sampling_probabilities
    is_sampled = None if sampled is None else np.array([label is not None for label in sampled], dtype=np.bool_)
    if probabilities is None and (is_sampled is None or not is_sampled.any()):
        return None
    weights = np.ones(len(records)) if is_sampled is None else np.where(is_sampled, np.nan, 1.0)
    if probabilities is None:
        return weights
    rounded = np.round(1.0 / probabilities / WEIGHT_UNIT) * WEIGHT_UNIT
    return np.where(np.isnan(probabilities), weights, rounded)


class ThroughputRatio(RateRatio):
    """Ratio of the current request rate of a stream to its mean over the preceding ten minutes."""

    def __init__(self) -> None:
        super().__init__(HISTORY, HISTORY_MIN, REQUESTS_MIN)

    def fill(self, records: Records, weights: NDArray[np.float64] | None) -> None:
        """Write the ratios to the column ``throughput_ratio`` of records with panes.

        Parameters
        ----------
        records
            Records with panes, in order of arrival.
        weights
            Shape ``(R,)``: weights of the records from :func:`request_weights`. None if every weight is 1.
        """
        requests = records.is_request if weights is None else np.where(records.is_request, weights, 0.0)
        self.write_ratios(records.values[:, _THROUGHPUT_RATIO], records.panes, requests)
