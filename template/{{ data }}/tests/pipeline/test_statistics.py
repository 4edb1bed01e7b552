"""The bootstrap, beside what is known of the mean."""

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from app.pipeline import statistics
from app.pipeline.statistics import bootstrap_mean


@pytest.mark.parametrize(("ones", "confidence"), [(5_000, 0.95), (1_000, 0.95), (5_000, 0.5)])
def test_the_interval_of_a_share_is_that_of_the_normal_distribution(ones: int, confidence: float) -> None:
    """Of noughts and ones the resampled mean is binomial, so its quantiles are known."""
    total = 10_000
    found = bootstrap_mean(np.array([0, 1]), np.array([total - ones, ones]), confidence=confidence, resamples=20_000)
    share = ones / total
    known = NormalDist(share, sqrt(share * (1 - share) / total))
    assert found.mean == share
    assert found.low == pytest.approx(known.inv_cdf((1 - confidence) / 2), abs=4e-4)
    assert found.high == pytest.approx(known.inv_cdf((1 + confidence) / 2), abs=4e-4)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, counts = np.arange(1, 500), np.arange(499, 0, -1)
    assert bootstrap_mean(values, counts, seed=7) == bootstrap_mean(values, counts, seed=7)
    assert bootstrap_mean(values, counts, seed=7) != bootstrap_mean(values, counts, seed=8)


def test_many_values_are_drawn_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values, counts = np.arange(1, 500), np.arange(499, 0, -1)
    whole = bootstrap_mean(values, counts)
    monkeypatch.setattr(statistics, "CELLS", 1_200)
    assert bootstrap_mean(values, counts) == whole


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_mean(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
