import numpy as np
import pytest
from scipy import stats

from keras_faramtn.evaluation.bootstrap import interval, resample_counts
from keras_faramtn.evaluation.crossed_interval import crossed_interval


def test_without_chance_in_images_it_is_the_t_interval_over_seeds():
    by_seed = np.array([0.01, 0.03, 0.02])
    low, high = crossed_interval(np.full(1000, 0.02), by_seed, images=100)
    # Student's t with 2 degrees of freedom, from a printed table: 4.303.
    half_width = 4.303 * 0.01 / np.sqrt(3)
    assert (low, high) == pytest.approx((0.02 - half_width, 0.02 + half_width), rel=1e-3)


def test_without_chance_in_seeds_it_is_the_t_interval_over_images():
    by_image = np.random.default_rng(0).normal(0.3, 1, 21)
    counts = resample_counts(21, 50_000)
    low, high = crossed_interval(counts @ by_image / 21, np.full(4, by_image.mean()), images=21)
    # The bootstrap's standard error divides by n where the t interval divides by n - 1.
    half_width = 2.086 * by_image.std(ddof=0) / np.sqrt(21)
    assert low == pytest.approx(by_image.mean() - half_width, abs=0.01)
    assert high == pytest.approx(by_image.mean() + half_width, abs=0.01)


def test_both_kinds_of_chance_are_combined_as_in_the_test_of_welch():
    # Welch's interval for a difference of means has the same two variances and degrees of freedom.
    rng = np.random.default_rng(1)
    by_seed, by_image = rng.normal(0.5, 0.1, 4), rng.normal(0, 0.5, 30)
    by_image -= by_image.mean()
    welch = stats.ttest_ind(by_seed, by_image, equal_var=False).confidence_interval(0.9)
    samples = rng.normal(0, 1, 500)
    samples *= by_image.std(ddof=1) / np.sqrt(30) / samples.std(ddof=1)
    assert crossed_interval(samples, by_seed, images=30, level=0.9) == pytest.approx(welch)


def test_what_is_not_defined():
    samples = np.array([0.1, np.nan, 0.3, 0.2])
    seeds = np.array([0.1, 0.3])
    assert crossed_interval(samples, seeds, 9) == crossed_interval(samples[[0, 2, 3]], seeds, 9)
    assert np.isnan(crossed_interval(samples, np.array([0.1, np.nan]), 9)).all()
    assert np.isnan(crossed_interval(np.full(4, np.nan), seeds, 9)).all()
    assert np.isnan(crossed_interval(samples, seeds, images=1)).all()
    assert crossed_interval(np.zeros(4), np.zeros(2), 9) == (0, 0)


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="needs two or more; got 1"):
        crossed_interval(np.zeros(5), np.zeros(1), images=9)


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("seed_effect", [0.0, 0.1, 0.3, 0.5])
def test_how_many_intervals_contain_the_truth(seeds, seed_effect):
    """Differences by seed and image, the sum of random effects; the truth is 0.4."""
    images, comparisons, resamples = 100, 2000, 400
    rng = np.random.default_rng(seeds)
    difference = (
        0.4
        + rng.normal(0, 1, (comparisons, 1, images))  # of the image
        + rng.normal(0, seed_effect, (comparisons, seeds, 1))  # of the seed
        + rng.normal(0, 0.5, (comparisons, seeds, images))  # their interaction
    )
    counts = resample_counts(images, resamples)
    of_images = difference.mean(axis=1) @ counts.T / images
    of_seeds = difference.mean(axis=2)

    def coverage(ends):
        low, high = np.array(ends).T
        return np.mean((low <= 0.4) & (high >= 0.4))

    both = coverage(
        [
            crossed_interval(samples, by_seed, images)
            for samples, by_seed in zip(of_images, of_seeds, strict=True)
        ]
    )
    # With few seeds, the degrees of freedom are often estimated too high: the known limit. It is
    # largest for a seed effect of 0.5, with 87.3, 92.2 and 94.7 % for an endless number of cases;
    # the bounds leave room for three standard errors of 2,000.
    assert {2: 0.85, 3: 0.904, 8: 0.932}[seeds] <= both <= 0.98
    if seed_effect <= 0.1:
        assert both >= 0.935
    images_only = coverage([interval(samples) for samples in of_images])
    # The standard error over images is 0.1 or a little more.
    if seed_effect >= 0.3:
        assert images_only < (0.85 if seeds == 8 else 0.75)
