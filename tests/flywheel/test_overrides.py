"""The stock script's command line, judged by Hydra's own parser."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.overrides import RunFiles, command, hydra_text, overrides
from clinasr_tui.flywheel.recipe import Recipe

FILES = RunFiles("/work/cycle 1/train.jsonl", "/work/validation.jsonl", "/work/runs/sft1")
BASE = "nvidia/parakeet-tdt-0.6b-v2"
PARSER = OverridesParser.create()


def parsed(items: list[str]) -> dict[str, object]:
    """What Hydra makes of the overrides; a plus before a key adds it to the config."""
    found = [PARSER.parse_override(item) for item in items]
    return {one.get_key_element(): one.value() for one in found}


def test_published_recipe_says_what_the_script_takes() -> None:
    assert parsed(overrides(Recipe(), BASE, FILES, name="sft1")) == {
        "+init_from_pretrained_model": BASE,
        "model.train_ds.manifest_filepath": FILES.train,
        "model.validation_ds.manifest_filepath": FILES.validation,
        "model.train_ds.batch_size": 4,
        "model.validation_ds.batch_size": 4,
        "model.optim.lr": 3e-4,
        "model.optim.sched.name": "CosineAnnealing",
        "model.optim.sched.warmup_steps": 5,
        "trainer.precision": "bf16-mixed",
        "trainer.max_epochs": 3,
        "trainer.gradient_clip_val": 1,
        "trainer.accumulate_grad_batches": 1,
        "trainer.log_every_n_steps": 1,
        "trainer.devices": 1,
        "trainer.num_nodes": 1,
        "exp_manager.name": "sft1",
        "+exp_manager.explicit_log_dir": FILES.run_dir,
        "exp_manager.resume_if_exists": False,
    }


def test_forms_that_fail_are_never_used() -> None:
    words = " ".join(command(Recipe(patience=3), BASE, FILES, name="sft1", resume=True))
    assert "--config-path" not in words
    assert "--config-name" not in words
    assert "save_best_model" not in words
    assert " init_from_pretrained_model" not in words
    assert "adapter" not in words


def test_a_nemo_file_needs_no_plus() -> None:
    found = parsed(overrides(Recipe(), "/models/base.nemo", FILES, name="a"))
    assert found["init_from_nemo_model"] == "/models/base.nemo"
    assert "+init_from_pretrained_model" not in found


def test_resume_starts_anew_where_there_is_no_checkpoint() -> None:
    found = parsed(overrides(Recipe(), BASE, FILES, name="a", resume=True))
    assert found["exp_manager.resume_if_exists"] is True
    assert found["exp_manager.resume_ignore_no_checkpoint"] is True


def test_early_stopping_watches_val_wer() -> None:
    found = parsed(overrides(Recipe(patience=3, max_epochs=30), BASE, FILES, name="a"))
    prefix = "+exp_manager.early_stopping_callback_params"
    assert found["+exp_manager.create_early_stopping_callback"] is True
    assert (found[f"{prefix}.monitor"], found[f"{prefix}.mode"], found[f"{prefix}.patience"]) == (
        "val_wer",
        "min",
        3,
    )


def test_a_cpu_cannot_synchronise_batch_norms() -> None:
    found = parsed(overrides(Recipe(precision="32"), "/m.nemo", FILES, name="a", cpu=True))
    assert found["trainer.accelerator"] == "cpu"
    assert found["trainer.sync_batchnorm"] is False


def test_the_command_is_one_argument_an_override() -> None:
    words = command(Recipe(), BASE, FILES, name="a")
    assert words[:2] == ["python3", "/opt/NeMo/examples/asr/speech_to_text_finetune.py"]
    assert words[3] == "model.train_ds.manifest_filepath='/work/cycle 1/train.jsonl'"


usable = st.text(st.characters(exclude_characters="\\$", exclude_categories=["Cc", "Cs"]), min_size=1)


@given(usable)
@settings(max_examples=300)
def test_hydra_reads_back_any_usable_text(text: str) -> None:
    value = PARSER.parse_override(f"key={hydra_text(text, 'key')}").value()
    assert value == text
    assert isinstance(value, str)


@pytest.mark.parametrize(
    "text",
    ["12", ".1", "1e5", "null", "True", "nan", "-inf", "a=b", "it's", "{x}", " a ", "\u0130", "\u212a"],
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert PARSER.parse_override(f"key={hydra_text(text, 'key')}").value() == text


@pytest.mark.parametrize("text", ["", "a\nb", "${oc.env:HOME}", "a\\b", "a\x1b[0m"])
def test_text_hydra_would_read_differently_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="cannot be passed to NeMo"):
        overrides(Recipe(), BASE, FILES._replace(train=text), name="a")


@pytest.mark.parametrize("name", ["", "../up", "a b", "{x}", "a/b", ".hidden", "x" * 65])
def test_a_run_is_named_like_a_file(name: str) -> None:
    with pytest.raises(InputError, match="no name for a run"):
        overrides(Recipe(), BASE, FILES, name=name)
