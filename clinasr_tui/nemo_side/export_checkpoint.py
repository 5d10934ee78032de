"""Make a .nemo of a run's best checkpoint, with nothing but what NeMo and Lightning offer.

    python3 export_checkpoint.py CHECKPOINTS_FOLDER OUT.nemo

The stock script leaves a .nemo with the last weights and, beside it, checkpoints named with their validation
WER. The configuration and the tokenizer are the .nemo's, the weights the checkpoint's. It takes its name once
it is whole. Its last line on standard output is {"t": "exported", "checkpoint": str, "val_wer": x}.

A checkpoint is a pickle, and loading one runs what is in it: only a run's own are loaded, as the run itself
does when it goes on.
"""

# It also runs under the Python of NeMo's container: plain os calls, no `X | Y` at run time.
# ruff: noqa: PTH103, PTH105, PTH118, PTH120, PTH208, UP031

import contextlib
import json
import os
import re
import sys
from typing import Any

VAL_WER = re.compile(r"--val_wer=(\d+(?:\.\d+)?)-epoch=\d+(-last)?(?:-v\d+)?\.ckpt")


def best_checkpoint(names: "list[str]") -> "tuple[str, float] | None":
    """Of file names the checkpoint with the lowest validation WER, and the WER; the first of equal ones."""
    best = None
    for name in sorted(names):
        told = VAL_WER.search(name)
        if told and not told.group(2) and (best is None or float(told.group(1)) < best[1]):
            best = name, float(told.group(1))
    return best


def last_model(names: "list[str]") -> str:
    """Of file names the .nemo; a rename that was cut off leaves `-v1` beside it."""
    found = sorted((name for name in names if name.endswith(".nemo")), key=lambda name: (len(name), name))
    if not found:
        raise ValueError("there is no .nemo beside the checkpoints: the run has not validated yet")
    return found[0]


def export(folder: str, out: str) -> "dict[str, Any]":
    """Write `out`; what it was made of. Raises ValueError without a checkpoint that tells its WER."""
    names = os.listdir(folder)
    best = best_checkpoint(names)
    if best is None:
        raise ValueError("no checkpoint with its val_wer in the name is in %s" % folder)
    model = os.path.join(folder, last_model(names))
    save(model, os.path.join(folder, best[0]), out)
    return {"t": "exported", "checkpoint": best[0], "val_wer": best[1]}


def save(model: str, checkpoint: str, out: str) -> None:
    """The model with the checkpoint's weights."""
    import torch
    from nemo.collections.asr.models import ASRModel

    found = ASRModel.restore_from(model, map_location="cpu")
    # Lightning's own checkpoints hold the configuration too, which is no tensor.
    content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    found.load_state_dict(content["state_dict"], strict=True)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    partial = out[: -len(".nemo")] + ".part.nemo"
    try:
        found.save_to(partial)
        os.replace(partial, out)
    finally:
        with contextlib.suppress(OSError):
            os.remove(partial)  # noqa: PTH107


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(export(sys.argv[1], sys.argv[2])) + "\n")
    except (OSError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
