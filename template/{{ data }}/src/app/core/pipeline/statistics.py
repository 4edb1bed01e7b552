"""A mean, and how far it can be trusted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 4_000_000
"""Numbers that are drawn at a time: 32 MB of them."""


class Interval(NamedTuple):
    """A mean, and the bounds that it lies between with the confidence that was asked for."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The mean of `values`, of which each was seen so often as `counts` says, with its percentile bootstrap interval.

    To draw as many values as there are, with replacement, is to draw from a multinomial distribution how often each
    comes. So a resample takes the time of the distinct values, however many there are of each. ValueError without any.
    """
    total = int(counts.sum())
    if total == 0:
        raise ValueError("There is nothing to take the mean of")
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, CELLS // len(values))
    for start in range(0, resamples, rows):
        drawn = random.multinomial(total, counts / total, size=min(rows, resamples - start))
        means[start : start + rows] = drawn @ values / total
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(counts @ values / total), float(low), float(high))
