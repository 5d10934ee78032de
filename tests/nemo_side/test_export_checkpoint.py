"""Which checkpoint of a run is the best, and which .nemo is the last; tests/nemo makes a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clinasr_tui.nemo_side.export_checkpoint import best_checkpoint, export, last_model

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    "sft3--val_wer=0.0833-epoch=0.ckpt",
    "sft3--val_wer=0.0353-epoch=1.ckpt",
    "sft3--val_wer=0.0371-epoch=2.ckpt",
    "sft3--val_wer=0.0300-epoch=3-last.ckpt",
    "sft3.nemo",
]


def test_the_lowest_val_wer_counts_and_last_is_not_one_of_them() -> None:
    assert best_checkpoint(NAMES) == (NAMES[1], 0.0353)
    assert best_checkpoint([*NAMES, "sft3--val_wer=0.0353-epoch=1-v1.ckpt"]) == (
        "sft3--val_wer=0.0353-epoch=1-v1.ckpt",
        0.0353,
    )
    assert best_checkpoint(["a.ckpt", "sft3.nemo"]) is None


def test_a_rename_that_was_cut_off_is_not_the_model() -> None:
    assert last_model(["sft3-v1.nemo", "sft3.nemo"]) == "sft3.nemo"
    assert last_model(["sft3-v1.nemo"]) == "sft3-v1.nemo"


def test_a_run_without_checkpoints_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint with its val_wer"):
        export(str(tmp_path), str(tmp_path / "out.nemo"))
    (tmp_path / NAMES[0]).touch()
    with pytest.raises(ValueError, match=r"no \.nemo beside"):
        export(str(tmp_path), str(tmp_path / "out.nemo"))
