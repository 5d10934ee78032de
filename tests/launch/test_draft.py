"""A run being set up: what follows from the choices, what is refused, what a machine lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.cost import run_minutes
from clinasr_tui.flywheel.recipe import SETTINGS, Gpu, Recipe
from clinasr_tui.flywheel.run_marks import is_smoke, smoke_mark
from clinasr_tui.flywheel.workspace import open_cycle, open_workspace
from clinasr_tui.launch.draft import PLACES, RECIPE, Draft, parsed, value_text
from clinasr_tui.launch.lacks import lacks
from clinasr_tui.launch.machine import Machine, Partition, Slurm
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.runs import Choices

TURING = Gpu("Tesla T4", 15360, (7, 5))
NO_GPU = Machine("gpu1", (), "no nvidia-smi", "", "missing", 5 * 10**9, 10**11, "/r", 0, 2, "3.10", 0, 0)
LARGE = replace(
    NO_GPU,
    gpus=(Gpu("L40S", 46068, (8, 9)),),
    gpu_trouble="",
    docker="ok",
    disk_free=10**11,
    folder="/home/u/c",
)


@pytest.fixture
def draft(two_cycles: Path) -> Draft:
    return Draft(open_cycle(two_cycles / "cycle1"), "ws", "", Choices(), rows=200)


def test_every_setting_and_place_has_a_reason_and_a_value(draft: Draft) -> None:
    assert [one.name for one in RECIPE] == [one.name for one in SETTINGS]
    for one in (*RECIPE, *PLACES):
        assert one.why.endswith((".", "_."))
        assert isinstance(draft.text(one.name), str)
    every = {one.name for one in PLACES}
    assert {one.name for one in draft.places()} == every - {"nemo_root", "python", "slurm"}
    local = draft.having("backend", Backend.LOCAL)
    assert {one.name for one in local.places()} == every - {"image", "socket", "slurm"}
    slurm = draft.having("backend", Backend.SLURM)
    assert {one.name for one in slurm.places()} == every - {"image", "socket"}


LOGIN = replace(
    NO_GPU,
    disk_free=10**12,
    slurm=Slurm("ok", "", (Partition("gpu", True, "1-00:00:00", "gpu:a100:4"),)),
)


def test_slurm_is_offered_where_it_is_and_needs_no_gpu_on_the_login_node(draft: Draft) -> None:
    assert Backend.SLURM not in draft.values("backend")
    seen = replace(draft, host="login", machine=LOGIN)
    assert seen.beside("backend", -1) is Backend.SLURM
    chosen = seen.having("backend", Backend.SLURM).having("nemo_root", "/nemo")
    assert (chosen.lacks(), chosen.refusal()) == ((), None)
    typed = chosen.having("slurm", "partition=gpu  comment='a b'")
    assert typed.text("slurm") == "partition=gpu 'comment=a b'"
    assert typed.is_set("slurm")
    assert "--comment=a b" in typed.plan().started_by
    assert not typed.having("slurm", None).is_set("slurm")
    with pytest.raises(InputError, match="chdir cannot be chosen"):
        parsed("slurm", "chdir=/")
    elsewhere = replace(chosen, machine=NO_GPU).refusal()
    assert "there is no sbatch" in str(elsewhere)
    silent = replace(chosen, machine=replace(LOGIN, slurm=Slurm("silent", "connect failure"))).refusal()
    assert "Slurm does not answer (connect failure)" in str(silent)
    (none,) = lacks(replace(LOGIN, slurm=Slurm("ok")), Backend.SLURM, cpu=False)
    assert not none.fatal


def test_a_choice_shows_in_the_command_and_can_be_taken_back(draft: Draft) -> None:
    changed = draft.having("lr", 5e-4).having("run", "mine").having("cpu", True)
    command = changed.plan().command
    assert "model.optim.lr=0.0005" in command
    assert "exp_manager.name=mine" in command
    assert "trainer.accelerator=cpu" in command
    assert (changed.text("precision"), changed.proposed("precision")) == ("32", "32")
    back = changed.having("lr", None).having("run", None).having("cpu", None)
    assert back.plan() == draft.plan()


def test_the_machine_decides_what_is_proposed(draft: Draft) -> None:
    assert draft.recipe.batch_size == 4
    seen = replace(draft, machine=LARGE)
    assert (seen.recipe.batch_size, seen.steps) == (16, 39)
    assert seen.plan().places.root == "/home/u/c"
    old = replace(draft, machine=replace(LARGE, gpus=(TURING,)))
    assert (old.recipe.precision, old.recipe.batch_size) == ("32", 2)
    refusal = old.having("precision", "bf16-mixed").refusal()
    assert str(refusal) == "refused: this GPU has no bf16: take 32 with a smaller batch. Change the setting"


def test_a_machine_that_lacks_something_is_refused_with_what_mends_it(draft: Draft) -> None:
    refusal = replace(draft, host="gpu1", machine=NO_GPU).refusal()
    assert str(refusal).startswith("gpu1: no GPU is known there (no nvidia-smi)")
    found = lacks(NO_GPU, Backend.DOCKER, cpu=True)
    assert [one.fatal for one in found] == [True, False]
    assert lacks(NO_GPU, Backend.LOCAL, cpu=True) == ()
    assert lacks(LARGE, Backend.DOCKER, cpu=False) == ()
    (small,) = lacks(replace(LARGE, gpus=(Gpu("RTX", 8192, (8, 6)),)), Backend.DOCKER, cpu=False)
    assert not small.fatal
    assert small.what.startswith("8 GB of GPU memory")


@pytest.mark.parametrize(("name", "value"), [("host", "gpu2"), ("root", "/data"), ("socket", "/s.sock")])
def test_another_host_folder_or_engine_was_not_looked_at(draft: Draft, name: str, value: str) -> None:
    seen = replace(draft, machine=LARGE)
    elsewhere = seen.having(name, value)
    assert elsewhere.machine is None
    assert elsewhere.plan().places.root == ("/data" if name == "root" else "~/clinasr")
    assert seen.having("lr", 5e-4).having(name, getattr(seen.choices, name, None)).machine is LARGE


@pytest.mark.parametrize(
    ("name", "first", "step", "then"),
    [
        ("batch_size", 4, 1, 8),
        ("batch_size", 1, -1, 1),
        ("lr", 3e-4, -1, 2e-4),
        ("lr", 2e-3, 1, None),
        ("max_epochs", 3, 1, 4),
        ("patience", 0, -1, 0),
        ("gradient_clip_val", 1.0, -1, 0.5),
        ("precision", "bf16-mixed", 1, "32"),
        ("precision", "bf16-mixed", -1, "16-mixed"),
        ("backend", None, 1, Backend.LOCAL),
        ("cpu", None, 1, True),
        ("run", "a", 1, None),
    ],
)
def test_arrows_go_from_value_to_value(
    draft: Draft, name: str, first: object, step: int, then: object
) -> None:
    assert draft.having(name, first).beside(name, step) == then


@pytest.mark.parametrize(
    ("value", "text"), [(3e-4, "3e-4"), (1.0, "1"), (0.5, "0.5"), (0.0, "0"), (1.5e-5, "1.5e-5"), (16, "16")]
)
def test_a_value_reads_as_it_is_typed(value: float, text: str) -> None:
    assert value_text(value) == text
    assert parsed("lr" if isinstance(value, float) else "batch_size", text) == value


@settings(max_examples=60)
@given(st.floats(min_value=1e-8, max_value=1e5))
def test_a_typed_value_is_the_shown_one(value: float) -> None:
    assert parsed("lr", value_text(value)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("name", "text"), [("batch_size", "4.5"), ("max_epochs", "many"), ("lr", "3e")])
def test_what_is_no_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(InputError, match="number"):
        parsed(name, text)
    assert parsed(name, "  ") is None


def test_out_of_range_settings_are_refused_and_do_not_break_the_form(draft: Draft) -> None:
    for name in ("batch_size", "accumulate_grad_batches", "devices", "num_nodes"):
        broken = draft.having(name, 0)
        assert broken.steps is None
        assert str(broken.refusal()).startswith("refused: ")
        assert broken.recipe != Recipe()


def test_a_longer_run_is_expected_to_take_longer_a_shorter_one_is_not_promised() -> None:
    assert run_minutes(100, 3) == (15.0, 30.0)
    assert run_minutes(10, 1) == (15.0, 30.0)
    assert run_minutes(200, 6) == (60.0, 120.0)


def test_the_model_of_a_smoke_run_is_marked(two_cycles: Path) -> None:
    folder = two_cycles / "cycle1/models/sft3"
    folder.mkdir(parents=True)
    record = {"run_dir": ".", "gate": {"verdict": "blocked", "override": "SMOKE"}}
    (folder / "training_run_info.json").write_text(json.dumps(record))
    (two_cycles / "cycle2/eval_info.json").write_text('{"model": "tuned", "run": "sft3"}')
    workspace = open_workspace(two_cycles)
    assert is_smoke(workspace.runs[-1])
    assert (smoke_mark(workspace, 1), smoke_mark(workspace, 2)) == ("", "smoke run")
    for gate in ({"override": None}, {}, "SMOKE", None):
        assert not is_smoke(replace(workspace.runs[-1], info={"gate": gate}))
