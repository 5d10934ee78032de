"""Handing a tuned model to a Riva NIM: what its decoder means for the build (method, section 7).

The values of riva-build's `decoder` are NVIDIA's documented ones (`greedy`, `flashlight`, `nemo`); the
published table's `greedy_ctc` is none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.nemo_file import Decoder
from clinasr_tui.text import size_text

if TYPE_CHECKING:
    from clinasr_tui.flywheel.nemo_file import NemoFile

REGISTRY = "nvcr.io/nim/nvidia"
MOUNTED_MODEL = "/riva_build_deploy/adapted_model.nemo"
_CONTAINER_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


class NimFamily(NamedTuple):
    """A family of ASR NIMs and how riva-build is told of it."""

    name: str
    container_id: str
    """The default; NVIDIA's support matrix has the others."""
    riva_decoder: str
    nemo2riva: str
    """How the .nemo is converted, as the block in `source_path`."""


_ONNX = "{format: onnx, onnx_opset: 19, max_dim: 1000}"
_NEMO = "{format: nemo}"
FAMILIES: dict[Decoder, NimFamily] = {
    Decoder.CTC: NimFamily("parakeet CTC", "parakeet-1-1b-ctc-en-us", "greedy", _ONNX),
    Decoder.RNNT: NimFamily("parakeet RNNT", "parakeet-1-1b-rnnt-multilingual", "nemo", _NEMO),
    Decoder.TDT: NimFamily("parakeet TDT", "parakeet-0.6b-tdt", "nemo", _NEMO),
}
"""By the decoder read from the .nemo; what is missing here cannot be handed over as it is."""

_STREAMING = (
    "a cache-aware streaming model: its fine-tuning is broken (it collapses to all-UNK). Tune and hand over "
    "a non-streaming base"
)
_HYBRID = (
    "a hybrid model has two heads, and a NIM takes one: split it first (NeMo's "
    "convert_nemo_asr_hybrid_to_ctc.py under examples/asr), then name the one-headed .nemo"
)
_UNKNOWN = (
    "its config names neither CTC, RNNT nor TDT: a wrong family makes a broken RMIR with no clear error"
)
_WARNINGS: dict[Decoder, tuple[str, ...]] = {
    Decoder.TDT: (
        "NVIDIA documents the TDT NIM as offline only: streaming requests fail, whatever the published text "
        "says of chunks",
        "decoder=nemo and format: nemo for TDT are inferred from RNNT: confirm with riva-build … -h in the "
        "image",
    ),
    Decoder.RNNT: (
        "The default image is the multilingual RNNT NIM: choose the one that was tuned from, by the support "
        "matrix",
    ),
    Decoder.CTC: ("decoder=greedy has no language model: with one, build with decoder=flashlight",),
}
_ALWAYS = (
    "Build on the GPU class that will serve: the engines fit no other (x86-64, compute capability ≥ 8.0, "
    "≥ 16 GB)",
    "An older image has the classic command line (riva-build speech_recognition OUT IN --decoder_type=…): "
    "riva-build -h tells which",
)
_NO_TRANSCRIBE = (
    "Its config has no validation_ds: NeMo cannot transcribe with it, so its offline figures cannot be made "
    "again"
)
_DECODERS = {Decoder.HYBRID: "hybrid, two decoders", Decoder.UNKNOWN: "decoder not known"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What handing one model over takes; `family` is None where `refused` says why it cannot be done."""

    model: NemoFile
    family: NimFamily | None
    container_id: str
    """"" where it cannot be done."""
    warnings: tuple[str, ...]
    refused: str = ""

    @property
    def image(self) -> str:
        """The NIM's image, "" where it cannot be done."""
        return f"{REGISTRY}/{self.container_id}:latest" if self.container_id else ""

    @property
    def source_path(self) -> str:
        """The value of riva-build's `source_path`, with the architecture stated."""
        block = self.family.nemo2riva if self.family else ""
        return f"[{{path: {MOUNTED_MODEL}, nemo2riva: {block}}}]" if block else ""


def deployment(model: NemoFile, container_id: str = "") -> Deployment:
    """Decide how a model is built and served; `container_id` "" takes the family's default.

    Raises InputError for what is no container id. A model that cannot be handed over is answered, with
    the reason in `refused`.
    """
    if container_id and not _CONTAINER_ID.fullmatch(container_id):
        raise InputError(
            f"{container_id!r} is no container id",
            remedy=f"Give the last part of the image's name, as in {REGISTRY}/parakeet-0.6b-tdt",
        )
    family = None if model.streaming else FAMILIES.get(model.decoder)
    if family is None:
        return Deployment(model, None, "", (), _refusal(model))
    chosen = container_id or family.container_id
    warnings = [*_WARNINGS[model.decoder], *_other_family(chosen, model.decoder), *_ALWAYS]
    if not model.can_transcribe:
        warnings.append(_NO_TRANSCRIBE)
    return Deployment(model, family, chosen, tuple(warnings))


def described(model: NemoFile) -> str:
    """A model's facts in one line: `TDT, 256 tokens, 16 kHz, 12.1 MB of parameters, by NeMo 2.6.2`.

    Where the weights' own size is not known, the file's stands for it.
    """
    return ", ".join(_facts(model))


def _facts(model: NemoFile) -> Iterable[str]:
    yield _DECODERS.get(model.decoder) or model.decoder.upper()
    if model.streaming:
        yield "cache-aware streaming"
    if model.vocabulary:
        yield f"{model.vocabulary:,} tokens"
    if model.sample_rate:
        yield f"{model.sample_rate / 1000:g} kHz"
    yield f"{size_text(model.weights)} of parameters" if model.weights else size_text(model.size)
    if model.nemo_version:
        yield f"by NeMo {model.nemo_version}"


def _refusal(model: NemoFile) -> str:
    if model.streaming:
        return _STREAMING
    return _HYBRID if model.decoder is Decoder.HYBRID else _UNKNOWN


def _other_family(container_id: str, decoder: Decoder) -> tuple[str, ...]:
    """A warning where the image's name does not name the model's decoder."""
    named = [one for one in FAMILIES if re.search(rf"(?<![a-z]){one}(?![a-z])", container_id)]
    if decoder in named:
        return ()
    which = decoder.upper()
    what = f"is a {named[0].upper()} image and the model is {which}" if named else f"does not name {which}"
    return (f"{container_id} {what}: the wrong family makes a broken RMIR with no clear error",)
