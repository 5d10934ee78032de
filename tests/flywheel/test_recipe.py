"""What is proposed for a GPU, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from clinasr_tui.flywheel.recipe import SETTINGS, Gpu, Recipe, objections, propose

L40S = Gpu("NVIDIA L40S", 46068, (8, 9))
A10G = Gpu("NVIDIA A10G", 23028, (8, 6))
T4 = Gpu("Tesla T4", 15360, (7, 5))
V100 = Gpu("Tesla V100-SXM2-16GB", 16384, (7, 0))
SMALL = Gpu("NVIDIA RTX A2000", 12282, (8, 6))


def test_defaults_are_the_published_settings() -> None:
    recipe = Recipe()
    assert (recipe.precision, recipe.lr, recipe.warmup_steps) == ("bf16-mixed", 3e-4, 5)
    assert (recipe.max_epochs, recipe.batch_size, recipe.gradient_clip_val) == (3, 4, 1.0)
    assert recipe.log_every_n_steps == 1


@pytest.mark.parametrize(
    ("gpu", "precision", "batch", "accumulate"),
    [
        (L40S, "bf16-mixed", 16, 1),
        (A10G, "bf16-mixed", 4, 1),
        (T4, "32", 2, 2),
        (V100, "32", 2, 2),
        (SMALL, "bf16-mixed", 2, 2),
    ],
)
def test_settings_fit_the_gpu(gpu: Gpu, precision: str, batch: int, accumulate: int) -> None:
    recipe, notes = propose(200, [gpu])
    assert (recipe.precision, recipe.batch_size, recipe.accumulate_grad_batches) == (
        precision,
        batch,
        accumulate,
    )
    assert notes
    assert not [one for one in objections(recipe, 200, [gpu]) if one.fatal]


def test_the_smallest_of_several_gpus_counts() -> None:
    recipe, _ = propose(200, [L40S, A10G])
    assert (recipe.batch_size, recipe.devices) == (4, 2)


def test_a_small_memory_is_said() -> None:
    assert "less than the 16 GB" in " ".join(propose(200, [SMALL]).notes)


def test_warmup_grows_with_the_manifest_and_never_outlasts_the_run() -> None:
    assert propose(999, [L40S]).recipe.warmup_steps == 5
    short = propose(1000, [L40S]).recipe
    assert short.steps(1000) == 189
    assert short.warmup_steps == 18
    assert propose(100_000, [L40S]).recipe.warmup_steps == 500


def test_a_long_run_logs_every_tenth_step() -> None:
    assert propose(200_000, [A10G]).recipe.log_every_n_steps == 10


def test_steps_count_batches_of_all_gpus_and_accumulation() -> None:
    assert Recipe().steps(200) == 150
    assert replace(Recipe(), accumulate_grad_batches=2, devices=2).steps(200) == 39


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp8"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"batch_size": 0},
        {"max_epochs": 0},
        {"warmup_steps": -1},
        {"gradient_clip_val": -0.1},
        {"devices": 0},
    ],
)
def test_what_makes_no_run_is_refused(change: dict[str, object]) -> None:
    found = objections(replace(Recipe(), **change), 200)  # type: ignore[arg-type]
    assert [(one.name, one.fatal) for one in found] == [(next(iter(change)), True)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"precision": "16-mixed"}, "NaN"),
        ({"lr": 5e-5}, "barely moves"),
        ({"lr": 2e-3}, "forgetting"),
        ({"warmup_steps": 150}, "150 steps"),
        ({"log_every_n_steps": 500}, "no loss"),
        ({"max_epochs": 15}, "early stopping"),
        ({"max_epochs": 31, "patience": 3}, "past 30 epochs"),
        ({"gradient_clip_val": 0.0}, "clipping"),
    ],
)
def test_what_is_unwise_is_said_and_allowed(change: dict[str, object], word: str) -> None:
    (found,) = objections(replace(Recipe(), **change), 200)  # type: ignore[arg-type]
    assert not found.fatal
    assert word in found.message


def test_bf16_on_an_old_gpu_and_more_gpus_than_there_are_are_refused() -> None:
    found = objections(replace(Recipe(), devices=2), 200, [T4])
    assert [(one.name, one.fatal) for one in found] == [("precision", True), ("devices", True)]


def test_the_published_recipe_has_nothing_against_it() -> None:
    assert objections(Recipe(), 200, [L40S]) == ()


def test_every_setting_is_explained() -> None:
    assert [one.name for one in SETTINGS] == [one.name for one in fields(Recipe)]
