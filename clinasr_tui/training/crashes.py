"""Exceptions of the stock script whose cause and cure are known (measured with NeMo 2.6)."""

from __future__ import annotations

import re

_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"Cannot find primary config"),
        "Leave out --config-path and --config-name: the script's own default is right.",
    ),
    (
        re.compile(r"is not in struct|Could not override"),
        "Write a key the configuration does not have with a plus: +key=value.",
    ),
    (
        re.compile(r"Weights only load failed"),
        "Leave out exp_manager.checkpoint_callback_params.save_best_model: it crashes this NeMo in epoch 0.",
    ),
    (
        re.compile(r"TDT is not yet implemented for non CUDA"),
        "TDT loss needs a GPU: see with nvidia-smi whether the container has one (--gpus all).",
    ),
    (
        re.compile(r"No CUDA GPUs are available|Found no NVIDIA driver|CUDA driver version is insufficient"),
        "The process sees no GPU: start the container with --gpus all and see nvidia-smi on the host.",
    ),
    (
        re.compile(r"no kernel image is available|not compatible with the current PyTorch"),
        "This container's PyTorch is not built for this GPU: take a newer container or another GPU.",
    ),
    (
        re.compile(
            r"There were no checkpoints found in checkpoint_dir|no checkpoint.{0,80}resume", re.IGNORECASE
        ),
        "On a fresh folder add exp_manager.resume_ignore_no_checkpoint=true.",
    ),
    (
        re.compile(r"object\.__init__\(\) takes exactly one argument"),
        "lhotse and torch do not fit: nemo_toolkit 2.7.3 (lhotse 1.33) works with torch 2.11 and later.",
    ),
    (
        re.compile(r"device-side assert|illegal memory access|uncorrectable ECC|unspecified launch failure"),
        "An error of the GPU or its kernels: start again; if it comes back, take another GPU.",
    ),
    (
        re.compile(r"NCCL|ProcessGroup|Connection reset by peer"),
        "One of several processes has gone: look for the first exception of the others in the log.",
    ),
)


def cure(exception: str) -> str | None:
    """What to do about a known exception, None for an unknown one."""
    return next((remedy for pattern, remedy in _KNOWN if pattern.search(exception)), None)
