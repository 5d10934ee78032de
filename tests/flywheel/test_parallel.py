"""Parts done by other processes: results in order, progress, cancelling, errors, workers that die."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import parallel
from clinasr_tui.flywheel.parallel import run_parts
from clinasr_tui.flywheel.preflight_part import Span, check_part


def span_task(path: Path) -> tuple[Path, Path, Span, bool]:
    return path, path, Span(0, path.stat().st_size), False


@pytest.fixture
def manifests(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(b"{}\n" * (number + 1))
    return paths


def test_results_come_in_the_parts_order(manifests: list[Path]) -> None:
    told: list[float] = []
    parts = run_parts(
        check_part,
        [span_task(path) for path in manifests],
        progress=lambda f: told.append(f) is None,
        work="x",
    )
    assert [part.rows for part in parts] == [1, 2, 3]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_what_a_worker_raises_is_raised_here(tmp_path: Path) -> None:
    tasks = [(tmp_path / "absent", tmp_path, Span(0, 1), False)]
    with pytest.raises(InputError, match="no such manifest") as caught:
        run_parts(check_part, tasks, progress=None, work="x")
    assert caught.value.where == str(tmp_path / "absent")
    assert caught.value.remedy == "Check the path"


def test_cancelling_ends_a_worker_that_hangs(manifests: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tasks = [(pipe, pipe, Span(0, 1), False), span_task(manifests[0])]
    with pytest.raises(InterruptedError, match="waiting was cancelled at 50%"):
        run_parts(check_part, tasks, progress=lambda fraction: fraction < 0.5, work="waiting")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("end", ["import os; os._exit(3)", "print('no pickle')", "raise SystemExit"])
def test_the_part_of_a_worker_that_dies_is_done_here(
    manifests: list[Path], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(parallel, "_PROGRAM", end)
    tasks = [span_task(path) for path in manifests]
    told: list[float] = []
    parts = run_parts(check_part, tasks, progress=lambda f: told.append(f) is None, work="x")
    assert [part.rows for part in parts] == [1, 2, 3]
    assert told[-1] == pytest.approx(1.0)


def test_without_any_worker_all_is_done_here(manifests: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    parts = run_parts(check_part, [span_task(path) for path in manifests], progress=None, work="x")
    assert [part.rows for part in parts] == [1, 2, 3]
