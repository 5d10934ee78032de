"""An evaluation being set up: what is proposed, where a run's model can be heard, which cycle it becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.evaluation.begun import note_begun
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.draft import EvalDraft, assess, draft_of, models, parsed
from clinasr_tui.evaluation.prepare import prepare
from clinasr_tui.flywheel.bases import DEFAULT_BASE
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.launch.draft import THIS_MACHINE
from clinasr_tui.launch.plan import Backend
from tests.support.evaluating import cycle, model


@pytest.fixture
def root(tmp_path: Path, demo_data: Path) -> Path:
    return cycle(tmp_path / "ws/cycle1", demo_data, rows=3).parent


def put_run(root: Path, name: str = "sft1", host: str | None = "gpu", *, fetched: bool = False) -> Path:
    folder = root / "cycle1/models" / name
    folder.mkdir(parents=True)
    record = {"run": name, "host": host, "run_dir": f"/r/ws/runs/{name}", "root": "/r", "backend": "docker"}
    (folder / "training_run_info.json").write_text(json.dumps({**record, "image": "nemo:1"}))
    if fetched:
        model(folder / "adapted_model.nemo", {})
    return folder


def score(root: Path, number: int = 1) -> None:
    (root / f"cycle{number}/per_sample.json").write_text('{"audio_filepath": "a", "ref": "b", "hyp": "b"}\n')


def drafted(root: Path, run: str = "", **given: Any) -> EvalDraft:
    workspace = open_workspace(root)
    draft = draft_of(workspace, workspace.cycles[0], run)
    for name, value in given.items():
        draft = draft.having(name, value)
    return draft


def test_before_any_transcripts_the_base_is_due(root: Path) -> None:
    put_run(root)
    assert drafted(root).choices == EvalChoices(model=DEFAULT_BASE)
    (root / "clinasr.toml").write_text('[gate]\nbase = "nvidia/other"\n')
    draft = drafted(root)
    assert draft.choices.model == "nvidia/other"
    standing = assess(draft)
    assert (standing.evaluation.baseline, standing.rows, standing.begun, standing.made) == (
        True,
        3,
        False,
        False,
    )


def test_after_them_the_newest_runs_last_weights_where_they_lie(root: Path) -> None:
    score(root)
    put_run(root, "sft1")
    put_run(root, "sft2")
    draft = drafted(root)
    assert (draft.choices, draft.model.label) == (EvalChoices(run="sft2"), "sft2, last weights")
    assert [one.label for one in models(draft.workspace, draft.cycle)][:4] == [
        "sft2, last weights",
        "sft2, best checkpoint",
        "sft1, last weights",
        "sft1, best checkpoint",
    ]
    standing = assess(draft)
    assert standing.evaluation.host == "gpu"
    ready = replace(draft, standing=standing)
    assert [ready.text(name) for name in ("place", "backend", "image", "root", "out_cycle", "cpu")] == [
        "gpu",
        "docker",
        "nemo:1",
        "/r",
        "2",
        "GPU",
    ]
    assert {one.name for one in ready.fields()}.isdisjoint({"python", "only_general"})
    best = assess(draft.having("model", models(draft.workspace, draft.cycle)[3]))
    assert best.evaluation.model.label == "sft1-best"


def test_a_run_asked_for_is_proposed(root: Path) -> None:
    score(root)
    put_run(root, "sft1")
    put_run(root, "sft2")
    assert drafted(root, "sft1").choices.run == "sft1"


def test_a_runs_model_is_heard_here_once_it_is_fetched(root: Path) -> None:
    score(root)
    folder = put_run(root)
    draft = drafted(root, place=THIS_MACHINE)
    with pytest.raises(InputError, match=r"the model of run sft1 is on gpu, not here.*fetch it first"):
        assess(draft)
    model(folder / "adapted_model.nemo", {})
    found = assess(draft).evaluation
    assert (found.host, found.model.run, found.model.model) == (
        None,
        "sft1",
        str(folder / "adapted_model.nemo"),
    )
    with pytest.raises(InputError, match="the best checkpoint of run sft1 is on gpu"):
        assess(replace(draft, choices=replace(draft.choices, best=True)))
    assert assess(draft.having("place", "other")).evaluation.host == "other"


def test_what_has_begun_is_gone_on_with(root: Path) -> None:
    score(root)
    put_run(root, fetched=True)
    note_begun(assess(drafted(root, place=THIS_MACHINE, batch_size=4, cpu=True)).evaluation)
    draft = drafted(root)
    assert (draft.place, draft.choices) == (THIS_MACHINE, EvalChoices(run="sft1", batch_size=4, cpu=True))
    note_begun(prepare(root / "cycle1", EvalChoices(run="sft1")))
    assert (drafted(root).place, drafted(root).choices) == ("", EvalChoices(run="sft1"))
    note_begun(prepare(root / "cycle1", EvalChoices(model="a/b", host="other", backend=Backend.LOCAL)))
    assert (drafted(root).place, drafted(root).choices.backend) == ("other", Backend.LOCAL)
    assert drafted(root, "sft1").choices == EvalChoices(run="sft1")


def test_another_evaluation_in_its_place_moves_it_on_and_its_own_is_found(root: Path) -> None:
    score(root)
    put_run(root)
    (root / "cycle2").mkdir()
    score(root, 2)
    draft = drafted(root)
    standing = assess(draft)
    assert (standing.evaluation.number, standing.evaluation.folder.name) == (3, "cycle3")
    (root / "cycle3").mkdir()
    score(root, 3)
    info = {"evaluations": standing.evaluation.names, "untranscribed": [{"line": 1}, {"line": 2}]}
    (root / "cycle3/eval_info.json").write_text(json.dumps(info))
    again = assess(drafted(root))
    assert (again.evaluation.number, again.made, again.failed) == (3, True, 2)
    with pytest.raises(InputError, match="this cycle is there already"):
        assess(drafted(root, out_cycle=2))


def test_the_python_of_the_last_time_is_proposed_on_this_machine(root: Path) -> None:
    place = root / "cycle1/evals/base-1"
    place.mkdir(parents=True)
    (place / "evaluation.json").write_text('{"host": null, "backend": "local", "python": "/opt/nemo/python"}')
    assert drafted(root).choices.python == "/opt/nemo/python"
    (place / "evaluation.json").write_text(
        '{"host": "gpu", "backend": "local", "python": "/opt/nemo/python"}'
    )
    assert drafted(root).choices.python == ""
    (place / "evaluation.json").write_text("{")
    assert drafted(root).choices.python == ""


def test_a_general_set_counts_and_asks_for_the_bases(root: Path, demo_data: Path) -> None:
    score(root)
    put_run(root)
    general = cycle(root / "general", demo_data, rows=2) / "manifest.jsonl"
    draft = drafted(root, general=general)
    standing = assess(draft)
    assert (standing.rows, standing.evaluation.lacks_general) == (5, True)
    assert "only_general" in {one.name for one in draft.fields()}
    only = assess(draft.having("only_general", True).having("model", "nvidia/base"))
    assert (only.rows, only.evaluation.folder.name) == (2, "cycle1")
    assert draft.having("only_general", True).having("general", None).choices.only_general is False


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("batch_size", " 8 ", 8), ("out_cycle", "", None), ("python", "~/x", "~/x"), ("model", "a/b", "a/b")],
)
def test_typed_values(name: str, text: str, value: object) -> None:
    assert parsed(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("batch_size", "0"), ("out_cycle", "two"), ("general", "/no/such")]
)
def test_typed_values_that_are_none(name: str, text: str) -> None:
    with pytest.raises(InputError):
        parsed(name, text)
