"""Bootstrap confidence interval of a mean."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 4_000_000
"""Maximum number of random numbers in memory: 32 MB."""


class Interval(NamedTuple):
    """A mean with the bounds of its confidence interval."""

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
    """Return the mean of `values`, weighted by `counts`, with its percentile bootstrap interval.

    Resampling with replacement is equal to drawing the counts from a multinomial distribution. So the time of a
    resample depends on the number of distinct values, and not on their counts. Raise ValueError without values.
    """
    total = int(counts.sum())
    if total == 0:
        raise ValueError("a mean needs at least one value")
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, CELLS // len(values))
    for start in range(0, resamples, rows):
        drawn = random.multinomial(total, counts / total, size=min(rows, resamples - start))
        means[start : start + rows] = drawn @ values / total
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(counts @ values / total), float(low), float(high))
