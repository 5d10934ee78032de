"""Hyperparameters of a fine-tuning run: what is proposed for a GPU, why, and what is refused (section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

BF16, FP32, FP16 = "bf16-mixed", "32", "16-mixed"
PRECISIONS = (BF16, FP32, FP16)

LEAST_GPU_MIB = 15_000
"""A 16 GB card, as `nvidia-smi` counts what is left of it."""
_LARGE_GPU_MIB = 45_000
_BF16_CAPABILITY = (8, 0)
_MANY_ROWS = 1000
_LONG_WARMUP = 500
_FEW_STEPS = 20_000
_MOST = 1_000_000


class Gpu(NamedTuple):
    """A GPU as `nvidia-smi` tells it; memory in MiB, compute capability as (major, minor)."""

    name: str
    memory_mib: int
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one run of NeMo's stock script is told; the defaults are the published ones."""

    precision: str = BF16
    lr: float = 3e-4
    warmup_steps: int = 5
    max_epochs: int = 3
    batch_size: int = 4
    """Rows a GPU and step."""
    accumulate_grad_batches: int = 1
    gradient_clip_val: float = 1.0
    patience: int = 0
    """Epochs without a better val_wer before the run stops; 0 runs all epochs."""
    log_every_n_steps: int = 1
    devices: int = 1
    num_nodes: int = 1

    def steps(self, rows: int) -> int:
        """Optimiser steps over all epochs for a training split of `rows` rows."""
        batches = math.ceil(rows / (self.batch_size * self.devices * self.num_nodes))
        return math.ceil(batches / self.accumulate_grad_batches) * self.max_epochs


class Setting(NamedTuple):
    """A field of the recipe as a form shows it."""

    name: str
    label: str
    why: str


SETTINGS = (
    Setting(
        "precision",
        "precision",
        "bf16-mixed keeps TDT stable. A GPU before Ampere has no bf16: 32 and a smaller batch. fp16 "
        "(16-mixed) overflows in TDT's loss: last resort, watch for NaN.",
    ),
    Setting(
        "lr",
        "learning rate",
        "3e-4 moves the terms in 3 epochs. Below 1e-4 the model barely moves, above 1e-3 it forgets general "
        "speech.",
    ),
    Setting(
        "warmup_steps",
        "warm-up steps",
        "5 for a small manifest, about 500 from 1,000 rows up; never more than the run has.",
    ),
    Setting("max_epochs", "epochs", "3 shows whether it works; 10 to 30 with early stopping in production."),
    Setting(
        "batch_size", "batch size", "4 fits 16 GB, 16 fits 48 GB. Out of memory: halve it, accumulate 2."
    ),
    Setting(
        "accumulate_grad_batches",
        "accumulate",
        "Batches summed before a step: a larger effective batch in the same memory.",
    ),
    Setting(
        "gradient_clip_val",
        "gradient clip",
        "1.0 stops one odd batch from throwing the weights away; 0 clips nothing.",
    ),
    Setting(
        "patience", "patience", "Stop after so many epochs without a better val WER; 0 never stops early."
    ),
    Setting(
        "log_every_n_steps",
        "log every n steps",
        "1 for a loss curve with every step; NeMo's default of 10 leaves a short run with no point at all.",
    ),
    Setting("devices", "GPUs", "More than one trains with Lightning's own DDP."),
    Setting("num_nodes", "nodes", "Machines of a DDP run; each starts the same command."),
)


class Proposal(NamedTuple):
    """A recipe for a machine and the reasons for what differs from the published one."""

    recipe: Recipe
    notes: tuple[str, ...]


def propose(rows: int, gpus: Sequence[Gpu], recipe: Recipe | None = None) -> Proposal:
    """The recipe for a training split of `rows` rows on these GPUs (the smallest one counts).

    Without a GPU known the published settings stand, sized for 16 GB.
    """
    found = recipe or Recipe()
    notes: list[str] = []
    if gpus:
        found = _for_gpus(found, gpus, notes)
    else:
        notes.append("No GPU is known yet: settings for 16 GB.")
    found = _with_warmup(found, rows, notes)
    if found.steps(rows) > _FEW_STEPS:
        found = replace(found, log_every_n_steps=10)
        notes.append(f"{found.steps(rows):,} steps: every 10th is logged.")
    return Proposal(found, tuple(notes))


def _for_gpus(recipe: Recipe, gpus: Sequence[Gpu], notes: list[str]) -> Recipe:
    memory = min(gpu.memory_mib for gpu in gpus)
    oldest = min(gpus, key=lambda gpu: gpu.capability)
    size = f"{memory / 1024:.0f} GB"
    batch, accumulate = (16, 1) if memory >= _LARGE_GPU_MIB else (4, 1)
    if memory < LEAST_GPU_MIB:
        batch, accumulate = 2, 2
        notes.append(f"{size} is less than the 16 GB the recipe needs: it may run out of memory.")
    precision = recipe.precision
    if oldest.capability < _BF16_CAPABILITY:
        precision, batch, accumulate = FP32, max(1, batch // 2), accumulate * 2
        major, minor = oldest.capability
        notes.append(f"{oldest.name} (compute capability {major}.{minor}) has no bf16: fp32, half the batch.")
    notes.append(
        f"Batch {batch} for {size}" + (f", accumulated {accumulate} times." if accumulate > 1 else ".")
    )
    return replace(
        recipe,
        precision=precision,
        batch_size=batch,
        accumulate_grad_batches=accumulate,
        devices=len(gpus),
    )


def _with_warmup(recipe: Recipe, rows: int, notes: list[str]) -> Recipe:
    """Long for a large manifest, and a tenth of the run at most: a longer one never reaches the peak."""
    if rows < _MANY_ROWS:
        return recipe
    steps = recipe.steps(rows)
    warmup = max(recipe.warmup_steps, min(_LONG_WARMUP, steps // 10))
    notes.append(f"Warm-up of {warmup} for {steps:,} steps ({rows:,} rows).")
    return replace(recipe, warmup_steps=warmup)


class Objection(NamedTuple):
    """What is wrong with a setting; a fatal one is refused, another only said."""

    name: str
    message: str
    fatal: bool


def objections(recipe: Recipe, rows: int, gpus: Sequence[Gpu] = ()) -> tuple[Objection, ...]:
    """What speaks against a recipe, refusals first."""
    found = [*_out_of_range(recipe)]
    if not found:
        found += _unwise(recipe, rows, gpus)
    return tuple(sorted(found, key=lambda one: not one.fatal))


def _out_of_range(recipe: Recipe) -> Iterator[Objection]:
    if recipe.precision not in PRECISIONS:
        yield Objection("precision", f"precision is one of {', '.join(PRECISIONS)}", True)
    if not (math.isfinite(recipe.lr) and 0 < recipe.lr < 1):
        yield Objection("lr", "the learning rate is above 0 and below 1", True)
    if not (math.isfinite(recipe.gradient_clip_val) and recipe.gradient_clip_val >= 0):
        yield Objection("gradient_clip_val", "the gradient clip is 0 (none) or above", True)
    whole = {one.name for one in fields(recipe)} - {"precision", "lr", "gradient_clip_val"}
    for setting in SETTINGS:
        if setting.name in whole:
            least = 0 if setting.name in ("warmup_steps", "patience") else 1
            if not least <= getattr(recipe, setting.name) <= _MOST:
                yield Objection(setting.name, f"{setting.label} is a whole number of at least {least}", True)


def _unwise(recipe: Recipe, rows: int, gpus: Sequence[Gpu]) -> Iterator[Objection]:
    steps = recipe.steps(rows)
    if gpus and recipe.precision == BF16 and min(gpu.capability for gpu in gpus) < _BF16_CAPABILITY:
        yield Objection("precision", "this GPU has no bf16: take 32 with a smaller batch", True)
    if gpus and recipe.devices > len(gpus):
        yield Objection("devices", f"{recipe.devices} GPUs are asked for, the machine has {len(gpus)}", True)
    if recipe.precision == FP16:
        yield Objection("precision", "fp16 makes TDT's loss overflow: watch for NaN", False)
    if recipe.lr < 1e-4:
        yield Objection("lr", "below 1e-4 the model barely moves", False)
    if recipe.lr > 1e-3:
        yield Objection("lr", "above 1e-3 the model risks forgetting general speech", False)
    if recipe.gradient_clip_val == 0:
        yield Objection("gradient_clip_val", "without clipping one odd batch can ruin the run", False)
    if recipe.warmup_steps >= steps:
        yield Objection(
            "warmup_steps", f"the run has {steps} steps: it never reaches the learning rate", False
        )
    if recipe.log_every_n_steps > steps:
        yield Objection("log_every_n_steps", f"the run has {steps} steps: no loss would be logged", False)
    if recipe.max_epochs > 30:
        yield Objection("max_epochs", "past 30 epochs the method stops tuning", False)
    elif recipe.max_epochs >= 10 and not recipe.patience:
        yield Objection("patience", "10 epochs and more want early stopping (patience 3)", False)
