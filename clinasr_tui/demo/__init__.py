"""The bundled cycle and the recorded run's replay."""

from clinasr_tui.demo.box import DemoBox, launch
from clinasr_tui.demo.layout import prepare_workspace

__all__ = ["DemoBox", "launch", "prepare_workspace"]
