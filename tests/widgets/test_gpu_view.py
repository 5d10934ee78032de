"""GPU figures as sparklines: one GPU, several, none, narrow and wide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.training.gpu import GpuReader, GpuSample, GpuTrack
from clinasr_tui.widgets.gpu_view import GpuView, gpu_lines, memory_text, sparkline

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

RECORDED = Path(__file__).parents[1] / "data" / "recordings" / "nvidia-smi.csv"


def track(utilisations: list[float | None], index: int = 0, name: str = "NVIDIA H200") -> GpuTrack:
    one = GpuTrack(index, name, 143771.0)
    for number, value in enumerate(utilisations):
        one.samples.append(GpuSample(2.0 * number, value, 4198.0 + number, 38.0, 120.0 + number))
        one.count += 1
    return one


@pytest.mark.parametrize(
    ("values", "width", "curve"),
    [
        ([0, 50, 100], 3, "▁▅█"),
        ([0, 50, 100], 5, "  ▁▅█"),
        ([100, None, 0], 3, "█ ▁"),
        ([0, 0, 100, 100], 2, "▁█"),
        ([100, 0, 0, 100, 100], 3, "█▁█"),
        ([], 3, "   "),
        ([500, -3], 2, "█▁"),
        ([1], 0, ""),
    ],
)
def test_a_sparkline_ends_with_the_newest_value(values: list[float | None], width: int, curve: str) -> None:
    assert sparkline(values, 0, 100, width) == curve


def test_a_flat_zero_scale_draws_the_ground() -> None:
    assert sparkline([0, 0], 0, 0, 2) == "▁▁"


@pytest.mark.parametrize(
    ("used", "total", "text"),
    [(4198, 143771, "4.1/140 GB"), (141821, 143771, "138/140 GB"), (800, None, "0.8 GB"), (None, 1, "–")],
)
def test_memory_reads_as_cards_are_sold(used: float | None, total: float | None, text: str) -> None:
    assert memory_text(used, total) == text


def test_the_recorded_sample_fills_four_lines_or_two() -> None:
    reader = GpuReader()
    reader.feed(RECORDED.read_bytes())
    assert [line.plain for line in gpu_lines(reader.tracks, 30)] == [
        "util             ▁         1 %",
        "mem              █  138/140 GB",
        "temp             ▂       39 °C",
        "power            █       124 W",
    ]
    wide = [line.plain for line in gpu_lines(reader.tracks, 70)]
    assert [len(line) for line in wide] == [70, 70]
    assert wide[0].startswith("util ")
    assert "mem" in wide[0]
    assert wide[1].endswith("124 W")


def test_many_gpus_take_a_line_each_and_the_rest_is_counted() -> None:
    tracks = [track([10.0 * index] * 9, index) for index in range(8)]
    lines = [line.plain for line in gpu_lines(tracks, 60)]
    assert len(lines) == 4
    assert lines[1].startswith(" 1 ")
    assert "10 %" in lines[1]
    assert "4.1/140 GB" in lines[1]
    assert lines[3] == "and 5 more, 50 % on average"
    assert len(gpu_lines(tracks[:4], 60)) == 4


@pytest.mark.parametrize("width", [0, 5, 12, 20, 26, 55, 56, 57, 200])
def test_no_line_is_wider_than_the_view(width: int) -> None:
    for tracks in ([track([50.0] * 500)], [track([None] * 3, index) for index in range(5)]):
        assert all(line.cell_length <= width for line in gpu_lines(tracks, width))


def test_what_is_not_known_is_a_dash() -> None:
    one = GpuTrack(0)
    one.samples.append(GpuSample(None, None, None, None, None))
    assert [line.plain.split()[-1] for line in gpu_lines([one], 30)] == ["–"] * 4


async def test_without_data_the_view_takes_no_room(bench: Callable[[Widget], App[None]]) -> None:
    view = GpuView()
    async with bench(view).run_test(size=(40, 12)) as pilot:
        view.show(())
        await pilot.pause()
        assert (view.display, view.size.height, view.title) == (False, 0, "")
        one = track([50.0, 71.0])
        view.show((one,))
        await pilot.pause()
        assert (view.display, view.size.height, view.title) == (True, 4, "NVIDIA H200")
        assert "71 %" in view.render().plain
        one.samples.append(GpuSample(9.0, 3.0, 1.0, 2.0, 1.0))
        one.count += 1
        view.show((one,))
        assert "3 %" in view.render().plain.splitlines()[0]
        other = track([8.0, 9.0, 10.0])
        view.show((other,))
        assert "10 %" in view.render().plain
        view.show(())
        await pilot.pause()
        assert view.display is False


async def test_a_name_cannot_colour_or_move(bench: Callable[[Widget], App[None]]) -> None:
    view = GpuView()
    async with bench(view).run_test(size=(40, 12)):
        view.show((track([1.0], name="\x1b[31m[red]X"), track([1.0], 1, name="\x1b[31m[red]X")))
        assert view.title == "2 × ␛[31m[red]X"
