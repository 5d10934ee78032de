"""Parts done by other processes: results in order, progress, cancelling, errors, workers that die."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import TypeVar

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import parallel
from clinasr_tui.flywheel.parallel import run_parts
from clinasr_tui.flywheel.preflight_part import Span, check_part
from tests.support.children import Children, none_is_left

T = TypeVar("T")


def who_does_it(name: str, *, progress: object = None) -> tuple[str, int]:
    return name, os.getpid()


def until_told(name: str, *, progress: Callable[[float], bool]) -> None:
    if name != "forever":
        raise ValueError("by a worker")
    while progress(0.5):
        sleep(0.01)


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


def elsewhere(work: Callable[[], T]) -> T:
    """What a thread other than the main one gets (the app asks from such a one)."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_cancelling_ends_a_worker_that_hangs(
    manifests: list[Path], tmp_path: Path, children: Children
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tasks = [span_task(manifests[0]), (pipe, pipe, Span(0, 1), False)]
    for ask in (elsewhere, lambda work: work()):
        with pytest.raises(InterruptedError, match="waiting was cancelled at 50%"):
            ask(lambda: run_parts(check_part, tasks, progress=lambda done: done < 0.5, work="waiting"))
        assert none_is_left(children)


def test_the_main_thread_does_the_first_part_itself_and_others_wait(manifests: list[Path]) -> None:
    tasks = [(path.name,) for path in manifests]
    here = run_parts(who_does_it, tasks, progress=None, work="x")
    assert [name for name, _ in here] == ["0.jsonl", "1.jsonl", "2.jsonl"]
    assert [process == os.getpid() for _, process in here] == [True, False, False]
    there = elsewhere(lambda: run_parts(who_does_it, tasks, progress=None, work="x"))
    assert os.getpid() not in {process for _, process in there}


def test_what_is_to_be_done_meanwhile_is_done_once(manifests: list[Path], children: Children) -> None:
    called: list[int] = []
    tasks = [span_task(path) for path in manifests]
    run_parts(check_part, tasks, progress=None, work="x", meanwhile=lambda: called.append(1))
    assert called == [1]
    with pytest.raises(ZeroDivisionError):
        run_parts(check_part, tasks, progress=None, work="x", meanwhile=lambda: 1 // 0)
    assert none_is_left(children)


def test_what_a_worker_raises_stops_the_part_done_here(
    manifests: list[Path], tmp_path: Path, children: Children
) -> None:
    tasks = [("forever",), ("worker raises",)]
    with pytest.raises(ValueError, match="by a worker"):
        run_parts(until_told, tasks, progress=None, work="x")
    assert none_is_left(children)


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
