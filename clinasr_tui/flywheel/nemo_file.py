"""What a .nemo file holds, read without torch and without unpacking it.

A .nemo is a tar (older ones gzipped) with `model_config.yaml`, the weights and the tokenizer's files. It is
untrusted input: nothing is written to disk, the archive is walked by a reader that bounds what it holds
(`tar_members`), and its YAML is loaded as plain words (`plain_yaml`), of which the few that matter are read.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import HarmError, open_input, reading
from clinasr_tui.flywheel.tar_members import Member, Source, tar_members, tar_source
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.flywheel.plain_yaml import Value

CONFIG_NAME, WEIGHTS_NAME = "model_config.yaml", "model_weights.ckpt"
_MOST_CONFIG = 4 << 20
_MOST_CLASS, _MOST_VERSION = 160, 40
"""Characters that are shown; NeMo's longest class has some 100 with its module."""
_NO_RECOGNISERS = ("classification", "selfsupervised", "reconstruction")
"""In the class of a model or of its head: it labels sound, or learns from sound alone."""
_WHOLE = re.compile(r"[1-9][0-9]{0,8}")
_REMEDY = "Name a model that NeMo saved"


class Decoder(StrEnum):
    """How a model turns sound into text, which decides how it can be trained and served."""

    CTC = "ctc"
    RNNT = "rnnt"
    TDT = "tdt"
    HYBRID = "hybrid"
    """Two heads, RNNT or TDT and CTC."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NemoFile:
    """What a .nemo says of itself; sizes in bytes, "" and None for what it does not say."""

    path: Path
    size: int
    decoder: Decoder
    target: str
    """The model's class, as its config names it."""
    vocabulary: int | None
    """Number of tokens, the blank not counted."""
    sample_rate: int | None
    """Hz."""
    weights: int | None
    """Bytes of the parameters as stored: four or two each, by their precision, so this is no count."""
    streaming: bool
    """Cache-aware streaming encoder: must not be fine-tuned (method, section 4)."""
    nemo_version: str
    can_transcribe: bool
    """False for a config without a `validation_ds` (null or absent): NeMo's transcribe() fails with it."""
    tdt: bool = False
    """Trained by a TDT loss: a TDT model, or a hybrid one with a TDT head."""


def read_nemo(path: Path) -> NemoFile:
    """Inspect a .nemo. Raises InputError for what is none, is damaged or means harm."""
    if path.is_fifo():
        # Opening it would wait for whoever writes.
        raise InputError("no .nemo file: it is a named pipe", where=str(path), remedy=_REMEDY)
    try:
        return _read(path)
    except (MemoryError, RecursionError):
        raise InputError("reading it takes more memory than there is", where=str(path)) from None


def _read(path: Path) -> NemoFile:
    with open_input(path, "model") as stream, reading(path, "model"):
        size = stream.seek(0, io.SEEK_END)
        try:
            config, weights = _parts(stream)
        except HarmError as harm:
            raise InputError(f"refused: {harm}", where=str(path), remedy=_REMEDY) from None
        except (tarfile.TarError, zlib.error, EOFError) as error:
            what = f"no .nemo file: it is no readable tar archive ({visible(str(error))})"
            raise InputError(what, where=str(path), remedy=_REMEDY) from None
    if config is None:
        raise InputError(f"no .nemo file: {CONFIG_NAME} is not in it", where=str(path), remedy=_REMEDY)
    return _described(path, size, weights, _load(config, path))


def _parts(stream: IO[bytes]) -> tuple[bytes | None, int | None]:
    """The config's bytes and the weights' size."""
    config, weights = None, None
    source = tar_source(stream)
    for member in tar_members(source):
        name = member.name.removeprefix("./")
        if name in (CONFIG_NAME, WEIGHTS_NAME) and not member.is_file:
            raise HarmError(f"{name} is a link or no plain file")
        if name == CONFIG_NAME:
            if config is not None:
                raise HarmError(f"{CONFIG_NAME} is in it twice")
            config = _content(source, member)
        elif name == WEIGHTS_NAME:
            weights = member.size
        if config is not None and weights is not None:
            break
    return config, weights


def _content(source: Source, member: Member) -> bytes:
    if member.size > _MOST_CONFIG:
        raise HarmError(f"{CONFIG_NAME} has {member.size:,} bytes")
    content = source.read(member.size)
    if len(content) < member.size:
        raise EOFError("the archive is cut off")
    return content


def _load(content: bytes, path: Path) -> dict[str, Value]:
    """The config in plain words. Raises InputError."""
    import yaml

    from clinasr_tui.flywheel.plain_yaml import load_plain

    where = f"{path}:{CONFIG_NAME}"
    try:
        config = load_plain(content.decode())
    except HarmError as harm:
        raise InputError(f"refused: {harm}", where=where, remedy=_REMEDY) from None
    except (yaml.YAMLError, ValueError) as error:
        what = f"not usable YAML ({visible(' '.join(str(error).split())[:120])})"
        raise InputError(what, where=where, remedy=_REMEDY) from None
    if not isinstance(config, dict):
        raise InputError("holds no model's config", where=where, remedy=_REMEDY)
    return config


def _described(path: Path, size: int, weights: int | None, config: dict[str, Value]) -> NemoFile:
    decoder = _decoder(config)
    return NemoFile(
        path=path,
        size=size,
        decoder=decoder,
        target=visible(_text(config, "target")[:_MOST_CLASS]),
        vocabulary=_vocabulary(config),
        sample_rate=_whole(config, "sample_rate") or _whole(config, "preprocessor", "sample_rate"),
        weights=weights,
        streaming=_is_streaming(config),
        nemo_version=visible(_text(config, "nemo_version")[:_MOST_VERSION]),
        can_transcribe=_at(config, "validation_ds") is not None,
        tdt=decoder in (Decoder.TDT, Decoder.HYBRID) and _has_tdt(config),
    )


def _decoder(config: dict[str, Value]) -> Decoder:
    """By the names of the classes alone: their modules hold others too (`hybrid_asr_tts_models`)."""
    name, head = _class(config, "target"), _class(config, "decoder", "_target_")
    if "hybridrnntctc" in name:
        return Decoder.HYBRID
    if any(other in name or other in head for other in _NO_RECOGNISERS):
        return Decoder.UNKNOWN
    if "rnnt" in name or "rnnt" in head:
        return Decoder.TDT if _has_tdt(config) else Decoder.RNNT
    return Decoder.CTC if "ctc" in name or head == "convasrdecoder" else Decoder.UNKNOWN


def _class(config: dict[str, Value], *keys: str) -> str:
    return _text(config, *keys).rpartition(".")[2].lower()


def _has_tdt(config: dict[str, Value]) -> bool:
    """True if loss or decoding of an RNNT head is TDT's."""
    loss = _text(config, "loss", "loss_name").lower()
    model_type = _text(config, "decoding", "model_type").lower()
    durations = _at(config, "decoding", "durations") or _at(config, "model_defaults", "tdt_durations")
    return "tdt" in loss or "tdt" in model_type or bool(durations)


def _is_streaming(config: dict[str, Value]) -> bool:
    """True for an encoder that keeps a cache between chunks of sound."""
    return (
        _text(config, "encoder", "att_context_style") == "chunked_limited"
        or _at(config, "encoder", "causal_downsampling") is True
        or _at(config, "encoder", "conv_context_size") == "causal"
    )


def _vocabulary(config: dict[str, Value]) -> int | None:
    labels = (
        _at(config, "labels") or _at(config, "joint", "vocabulary") or _at(config, "decoder", "vocabulary")
    )
    if isinstance(labels, list) and labels:
        return len(labels)
    return _whole(config, "decoder", "vocab_size") or _whole(config, "decoder", "num_classes")


def _at(config: dict[str, Value], *keys: str) -> Value:
    """What stands at a path of keys; None if nothing does."""
    value: Value = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(config: dict[str, Value], *keys: str) -> str:
    value = _at(config, *keys)
    return value if isinstance(value, str) else ""


def _whole(config: dict[str, Value], *keys: str) -> int | None:
    """A number above zero, of nine digits at most; None for anything else."""
    word = _text(config, *keys)
    return int(word) if _WHOLE.fullmatch(word) else None
