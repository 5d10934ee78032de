"""The stock script's command line: Hydra overrides as they really work (method, section 6).

Three published forms fail: `--config-path/--config-name` (the script's default config is the right one),
`init_from_pretrained_model=` without a plus, and `save_best_model=true`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.flywheel.recipe import Recipe

SCRIPT = "speech_to_text_finetune.py"
SCRIPT_FOLDER = "examples/asr"
CONTAINER_NEMO = "/opt/NeMo"
"""Where NeMo's source lies in its container."""

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What Hydra's grammar reads as it stands; all else is quoted.
_PLAIN = re.compile(r"(?!(?i:null|true|false|inf|nan)\Z)[A-Za-z/][A-Za-z0-9_./%@+-]*")
# A backslash or `$` has a meaning of its own in Hydra even inside quotes.
_UNUSABLE = re.compile(r"[\\$\x00-\x1f\x7f]")


class RunFiles(NamedTuple):
    """Where the run finds and leaves its files, as the machine (or container) that runs it sees them."""

    train: str
    validation: str
    run_dir: str
    script: str = f"{CONTAINER_NEMO}/{SCRIPT_FOLDER}/{SCRIPT}"


def overrides(
    recipe: Recipe, base: str, files: RunFiles, *, name: str, resume: bool = False, cpu: bool = False
) -> list[str]:
    """Hydra overrides for one run, one argument each; `base` is a pretrained name or a path to a .nemo.

    `resume` goes on from the run folder's `-last` checkpoint; in a fresh folder it starts anew. `cpu` is for
    machines without a GPU (CTC and RNNT bases only). Raises InputError for text no override can carry and
    for a `name` that is no plain file name: NeMo makes the checkpoints' names of it.
    """
    if not RUN_NAME.fullmatch(name):
        raise InputError(
            f"{visible(name)!r} is no name for a run",
            remedy="Use up to 64 letters, digits, dots, hyphens and underscores",
        )
    local = base.endswith(".nemo")
    found = [
        _item("init_from_nemo_model" if local else "+init_from_pretrained_model", base),
        _item("model.train_ds.manifest_filepath", files.train),
        _item("model.validation_ds.manifest_filepath", files.validation),
        f"model.train_ds.batch_size={recipe.batch_size}",
        f"model.validation_ds.batch_size={recipe.batch_size}",
        f"model.optim.lr={recipe.lr:g}",
        "model.optim.sched.name=CosineAnnealing",
        f"model.optim.sched.warmup_steps={recipe.warmup_steps}",
        f"trainer.precision={recipe.precision}",
        f"trainer.max_epochs={recipe.max_epochs}",
        f"trainer.gradient_clip_val={recipe.gradient_clip_val:g}",
        f"trainer.accumulate_grad_batches={recipe.accumulate_grad_batches}",
        f"trainer.log_every_n_steps={recipe.log_every_n_steps}",
        f"trainer.devices={recipe.devices}",
        f"trainer.num_nodes={recipe.num_nodes}",
        _item("exp_manager.name", name),
        _item("+exp_manager.explicit_log_dir", files.run_dir),
        "exp_manager.resume_if_exists=true",
        "exp_manager.resume_ignore_no_checkpoint=true",
    ]
    if not resume:
        found[-2:] = ["exp_manager.resume_if_exists=false"]
    if recipe.patience:
        stop = "+exp_manager.early_stopping_callback_params"
        found += [
            "+exp_manager.create_early_stopping_callback=true",
            f"{stop}.monitor=val_wer",
            f"{stop}.mode=min",
            f"{stop}.patience={recipe.patience}",
        ]
    if cpu:
        found += ["trainer.accelerator=cpu", "trainer.sync_batchnorm=false"]
    return found


def command(
    recipe: Recipe,
    base: str,
    files: RunFiles,
    *,
    name: str,
    resume: bool = False,
    cpu: bool = False,
    python: str = "python3",
) -> list[str]:
    """The whole command of a run as an argument list."""
    return [python, files.script, *overrides(recipe, base, files, name=name, resume=resume, cpu=cpu)]


def _item(key: str, text: str) -> str:
    return f"{key}={hydra_text(text, key)}"


def hydra_text(text: str, what: str) -> str:
    """Text as Hydra reads it back unchanged: plain where it can be, else in single quotes."""
    if not text or _UNUSABLE.search(text):
        raise InputError(
            f"{what.lstrip('+')} cannot be passed to NeMo: {visible(text)!r}",
            remedy="Use a path or name without control characters, backslashes and $",
        )
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "\\'") + "'"
