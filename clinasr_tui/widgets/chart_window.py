"""Which steps of a run a chart shows: all of it, or a window that is zoomed, moved and follows the end."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_STEPS = 8.0
"""The narrowest window, in steps."""
_LADDER = 1.25


@dataclass(frozen=True, slots=True)
class Window:
    """A window `span` steps wide that ends at step `end`; without an end it follows the newest step.

    `whole` in the methods is the run's first and last step; `span` None shows all of it.
    """

    span: float | None = None
    end: float | None = None

    def bounds(self, whole: tuple[float, float]) -> tuple[float, float]:
        """First and last step in view."""
        low, high = whole
        if self.span is None or self.span >= high - low:
            return whole
        end = high if self.end is None else min(max(self.end, low + self.span), high)
        return end - self.span, end

    def zoomed(self, factor: float, at: float, whole: tuple[float, float]) -> Window:
        """`factor` times as many steps (below 1 is nearer); the step `at` stays where it is."""
        low, high = self.bounds(whole)
        span = max((high - low) * factor, FEWEST_STEPS)
        if span >= whole[1] - whole[0]:
            return Window()
        share = (high - at) / (high - low) if high > low else 0.0
        end = at + share * span
        return Window(span, None if self.end is None and share <= 0 else end)._tidy(whole)

    def moved(self, steps: float, whole: tuple[float, float]) -> Window:
        """Moved by so many steps; at the newest it follows again."""
        if self.span is None:
            return self
        return Window(self.span, self.bounds(whole)[1] + steps)._tidy(whole)

    def _tidy(self, whole: tuple[float, float]) -> Window:
        """Inside the run; an end at the newest step follows it."""
        if self.span is None or self.end is None or self.end >= whole[1]:
            return Window(self.span)
        return Window(self.span, max(self.end, whole[0] + self.span))


def room_for(last: int, most: int | None) -> int:
    """Right end of a whole view: it grows in strides, so that a running run's curve stands still.

    `most` is the run's last step if it is known and still to come.
    """
    if most is None or most <= last:
        return last
    right = float(FEWEST_STEPS)
    while right < last:
        right *= _LADDER
    return min(round(right), most)
