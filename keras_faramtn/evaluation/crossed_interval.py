"""The confidence interval of a mean whose chance is that of the images and that of the seeds."""

import numpy as np
from scipy.special import stdtrit

from keras_faramtn.evaluation.bootstrap import LEVEL, Interval


def crossed_interval(
    resampled: np.ndarray, by_seed: np.ndarray, images: int, level: float = LEVEL
) -> Interval:
    """The interval of a statistic's mean over seeds that covers chance in images and in seeds.

    Every network of a seed is scored on the same images: images and seeds are crossed random
    effects (the setting of Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).
    With S seeds and n images, the mean over the seeds has the variance

        v = v_images + v_seeds
        v_images = the variance over resamples of the images of the mean over the seeds
        v_seeds = (the sample variance between the seeds) / S

    and the interval is mean ± t * sqrt(v), where t is a quantile of Student's distribution with

        v ^ 2 / (v_images ^ 2 / (n - 1) + v_seeds ^ 2 / (S - 1))

    degrees of freedom (Satterthwaite, "An approximate distribution of estimates of variance
    components", Biometrics Bulletin 2, 1946). The interaction of images and seeds is a part of both
    variances, and so counts twice: the interval is rather too wide than too narrow.

    Few seeds say little about how seeds vary: where they are the larger part of the chance, t for a
    level of 95 % is 12.7 with two seeds, 4.3 with three and 2.8 with five, instead of about 2.

    The level is not exact: with few seeds, the degrees of freedom are often estimated too high by
    chance. In simulations with normally distributed effects, 95 % intervals contained the true
    value in 87 to 96 % of the cases with two seeds, 92 to 97 % with three and 94 to 96 % with
    eight. The lowest of these are for a standard deviation between seeds of about five times the
    standard error over the images; where seeds vary no more than that error, it was 94 % or more.

    Args:
        resampled: `(resamples,)`: the mean over the seeds in each resample of the images; NaN
            values (not defined) are ignored.
        by_seed: `(S,)`: the statistic on the actual images, of S >= 2 seeds.
        images: n.
        level: the probability that the interval contains the true value, above 0 and below 1.

    Returns:
        The lower and the upper end; NaN if the statistic is not defined for a seed, or for fewer
        than two resamples, or if there is only one image.

    Raises:
        ValueError: with fewer than two seeds.

    Example:
        >>> low, high = crossed_interval(np.full(1000, 0.2), np.array([0.1, 0.2, 0.3]), images=500)
        >>> round(low, 3), round(high, 3)  # no chance in images: the t interval over three seeds
        (-0.048, 0.448)
    """
    if len(by_seed) < 2:
        raise ValueError(f"an interval over seeds needs two or more; got {len(by_seed)}.")
    defined = resampled[np.isfinite(resampled)]
    mean = float(np.mean(by_seed))
    if images < 2 or len(defined) < 2 or not np.isfinite(mean):
        return np.nan, np.nan
    of_images = float(np.var(defined, ddof=1))
    of_seeds = float(np.var(by_seed, ddof=1)) / len(by_seed)
    variance = of_images + of_seeds
    if variance == 0:
        return mean, mean
    # Shares of the variance, because the squares of small variances may underflow.
    shares = np.array([of_images, of_seeds]) / variance
    freedom = 1 / (shares**2 / (images - 1, len(by_seed) - 1)).sum()
    half_width = float(stdtrit(freedom, (1 + level) / 2)) * variance**0.5
    return mean - half_width, mean + half_width
