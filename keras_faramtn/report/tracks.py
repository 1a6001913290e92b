"""Values with intervals on a common axis, for rows of a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator


@dataclass(frozen=True)
class Axis:
    """A horizontal axis of fractions.

    Attributes:
        start, end: the fractions at its ends.
        ticks: the fractions that are labelled.
    """

    start: float
    end: float
    ticks: tuple[float, ...]

    def position(self, value: float) -> float:
        """Where a value lies on the axis, in percent of its length.

        Example:
            >>> Axis(0.5, 1.0, ()).position(0.75)
            50.0
        """
        return round(100 * (value - self.start) / (self.end - self.start), 2)

    def track(
        self,
        value: float | None,
        interval: Sequence[float] | None = None,
        others: Iterable[float | None] = (),
    ) -> "Track | None":
        """A value with its interval and other values to compare with; None without a value."""
        if value is None:
            return None
        low, high = interval or (value, value)
        return Track(
            self.position(value),
            self.position(low),
            self.position(high),
            tuple(self.position(other) for other in others if other is not None),
        )


@dataclass(frozen=True)
class Track:
    """Positions in percent of an axis: of a value, the ends of its interval, and other values."""

    value: float
    low: float
    high: float
    others: tuple[float, ...] = ()


def axis_of(
    values: Iterable[float | None], always: Iterable[float] = (), intervals: int = 6
) -> Axis:
    """An axis with room for all values, and ticks at round numbers.

    Args:
        values: fractions; None is ignored.
        always: fractions that the axis contains in any case.
        intervals: the largest number of intervals between ticks.

    Example:
        >>> axis = axis_of([0.62, 0.97, None], always=[0.5, 1.0])
        >>> axis.start, axis.end, axis.ticks
        (0.5, 1.0, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    """
    found = [*(value for value in values if value is not None), *always] or [0.0, 1.0]
    locator = MaxNLocator(nbins=intervals, steps=[1, 2, 2.5, 5, 10])
    ticks = [round(float(tick), 6) for tick in locator.tick_values(min(found), max(found))]
    return Axis(ticks[0], ticks[-1], tuple(ticks))
