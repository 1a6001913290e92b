"""Numbers that may not be defined: NaN in arrays, None in scores, null in files, - in tables."""

import numpy as np

_DIGITS = 6


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient of two arrays of the same shape; NaN where the denominator is not positive.

    Example:
        >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
        [0.5, nan]
    """
    undefined = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def mean_of_defined(by_attribute: np.ndarray) -> np.ndarray:
    """The mean over the last axis of the values that aren't NaN; NaN where there is none.

    Example:
        >>> mean_of_defined(np.array([[0.5, np.nan], [np.nan, np.nan]])).tolist()
        [0.5, nan]
    """
    defined = np.isfinite(by_attribute)
    return ratio(
        np.where(defined, by_attribute, 0).sum(axis=-1), defined.sum(axis=-1).astype("float64")
    )


def none_if_nan(value: float) -> float | None:
    """The number as Python's float; None for NaN.

    Example:
        >>> none_if_nan(np.float64(0.5)), none_if_nan(np.nan)
        (0.5, None)
    """
    return None if np.isnan(value) else float(value)


def rounded(value: float | None) -> float | None:
    """A score as it is in JSON files: rounded to six decimals; None for None and NaN.

    Example:
        >>> rounded(2 / 3), rounded(np.nan), rounded(None)
        (0.666667, None, None)
    """
    return None if value is None or np.isnan(value) else round(float(value), _DIGITS)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as text in percent, without the sign; `-` for None.

    Example:
        >>> percent(0.5), percent(2 / 3, 2), percent(None)
        ('50.0', '66.67', '-')
    """
    return "-" if value is None else f"{100 * value:.{digits}f}"
