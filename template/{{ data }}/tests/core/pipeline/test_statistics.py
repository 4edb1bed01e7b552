"""The bootstrap interval, compared with known values."""

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from app.core.pipeline import statistics
from app.core.pipeline.statistics import bootstrap_mean


@pytest.mark.parametrize(("ones", "confidence"), [(5_000, 0.95), (1_000, 0.95), (5_000, 0.5)])
def test_interval_of_share_matches_normal_distribution(ones: int, confidence: float) -> None:
    """The resampled mean of zeros and ones is binomial, so its quantiles are known."""
    total = 10_000
    found = bootstrap_mean(np.array([0, 1]), np.array([total - ones, ones]), confidence=confidence, resamples=20_000)
    share = ones / total
    known = NormalDist(share, sqrt(share * (1 - share) / total))
    assert found.mean == share
    assert found.low == pytest.approx(known.inv_cdf((1 - confidence) / 2), abs=4e-4)
    assert found.high == pytest.approx(known.inv_cdf((1 + confidence) / 2), abs=4e-4)


def test_same_seed_gives_the_same_interval() -> None:
    values, counts = np.arange(1, 500), np.arange(499, 0, -1)
    assert bootstrap_mean(values, counts, seed=7) == bootstrap_mean(values, counts, seed=7)
    assert bootstrap_mean(values, counts, seed=7) != bootstrap_mean(values, counts, seed=8)


def test_bootstrap_in_blocks_gives_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values, counts = np.arange(1, 500), np.arange(499, 0, -1)
    whole = bootstrap_mean(values, counts)
    monkeypatch.setattr(statistics, "CELLS", 1_200)
    assert bootstrap_mean(values, counts) == whole


def test_mean_of_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_mean(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
