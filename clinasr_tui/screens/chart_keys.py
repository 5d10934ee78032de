"""The keys of the loss chart on a screen that shows one: axis, smoothing, cursor, zoom, other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from clinasr_tui.training.snapshot import Series


class ChartKeys(CockpitScreen):
    """A screen with a `LossChart`."""

    BINDINGS: ClassVar[list[BindingType]] = []

    async def other_curves(self) -> Sequence[tuple[str, Series]]:
        """(name, train loss) of the runs that can be drawn behind the one in view, newest first."""
        raise NotImplementedError

    @property
    def _chart(self) -> LossChart:
        return self.query_one(LossChart)

    def action_log_scale(self) -> None:
        """Logarithmic or linear."""
        self._chart.toggle_log()

    def action_smooth(self, direction: int) -> None:
        """More or less smoothing."""
        self._chart.smooth(direction)

    def action_cursor(self, direction: int) -> None:
        """Move the read-out."""
        self._chart.move_cursor(direction)

    def action_zoom(self, direction: int) -> None:
        """Fewer or more steps in view."""
        self._chart.zoom(direction)

    def action_pan(self, direction: int) -> None:
        """Earlier or later steps."""
        self._chart.pan(direction)

    def action_show_all(self) -> None:
        """The whole run."""
        self._chart.show_all()

    def action_overlay(self) -> None:
        """Other runs' curves behind this one's, or none."""
        if self._chart.overlaid:
            self._chart.overlay(())
        else:
            self.run_worker(self._overlay(), name="read other runs", group="overlay", exclusive=True)

    async def _overlay(self) -> None:
        curves = await self.other_curves()
        self._chart.overlay(curves)
        if not curves:
            self.notify("No other run of this workspace has a loss curve here.", timeout=4)
