"""What a .nemo file holds, read without torch and without unpacking it.

A .nemo is a tar (older ones gzipped) with `model_config.yaml`, the weights and the tokenizer's files. It is
untrusted input: nothing is written to disk, members are counted, what is read is bounded, and YAML is loaded
without tags, aliases or depth.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import open_input, reading
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from yaml.events import Event

CONFIG_NAME, WEIGHTS_NAME = "model_config.yaml", "model_weights.ckpt"
_MOST_MEMBERS = 10_000
_MOST_CONFIG = 4 << 20
_MOST_INFLATED = 16 << 30
"""Bytes a gzipped file may unfold to while its members are looked for."""
_MOST_DEPTH = 40
_MOST_EVENTS = 400_000
_GZIP = b"\x1f\x8b"
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
    """Size of the weights as stored: about four bytes a parameter, two in half precision."""
    streaming: bool
    """Cache-aware streaming encoder: must not be fine-tuned (method, section 4)."""
    nemo_version: str
    can_transcribe: bool
    """False for a config whose `validation_ds` is null: NeMo's transcribe() fails with it."""
    tdt: bool = False
    """Trained by a TDT loss: a TDT model, or a hybrid one with a TDT head."""


def read_nemo(path: Path) -> NemoFile:
    """Inspect a .nemo. Raises InputError for what is none, is damaged or means harm."""
    if path.is_fifo():
        # Opening it would wait for whoever writes.
        raise InputError("no .nemo file: it is a named pipe", where=str(path), remedy=_REMEDY)
    with open_input(path, "model") as stream, reading(path, "model"):
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        try:
            config, weights = _members(stream)
        except _HarmError as harm:
            raise InputError(f"refused: {harm}", where=str(path), remedy=_REMEDY) from None
        except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
            what = f"no .nemo file: it is no readable tar archive ({visible(str(error))})"
            raise InputError(what, where=str(path), remedy=_REMEDY) from None
    if config is None:
        raise InputError(f"no .nemo file: {CONFIG_NAME} is not in it", where=str(path), remedy=_REMEDY)
    return _described(path, size, weights, _load(config, path))


class _HarmError(Exception):
    """The archive asks for more than any model needs."""


class _Inflated(io.RawIOBase):
    """A gzipped stream's content, up to a limit."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(wbits=31)
        self._left = _MOST_INFLATED

    def read(self, size: int = -1) -> bytes:
        """Some of the next bytes; b"" at the end."""
        wanted = size if size > 0 else 1 << 16
        while not self._inflate.eof:
            chunk = self._inflate.unconsumed_tail or self._stream.read(1 << 16)
            if not chunk:
                raise EOFError("the gzip stream is cut off")
            found = self._inflate.decompress(chunk, wanted)
            self._left -= len(found)
            if self._left < 0:
                raise _HarmError(f"it unfolds to more than {_MOST_INFLATED >> 30} GB")
            if found:
                return found
        return b""


def _members(stream: IO[bytes]) -> tuple[bytes | None, int | None]:
    """The config's bytes and the weights' size."""
    zipped = stream.read(2) == _GZIP
    stream.seek(0)
    config, weights = None, None
    # A stream is read once from its start; a plain file is skipped through by its headers.
    source = cast("IO[bytes]", _Inflated(stream)) if zipped else stream
    with tarfile.open(fileobj=source, mode="r|" if zipped else "r:", ignore_zeros=False) as tar:
        for count, member in enumerate(tar):
            if count >= _MOST_MEMBERS:
                raise _HarmError(f"it has more than {_MOST_MEMBERS:,} files")
            name = member.name.removeprefix("./")
            if name in (CONFIG_NAME, WEIGHTS_NAME) and not member.isreg():
                raise _HarmError(f"{name} is a link or no plain file")
            if name == CONFIG_NAME:
                config = _content(tar, member)
            elif name == WEIGHTS_NAME:
                weights = member.size
            if config is not None and weights is not None:
                break
    return config, weights


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _MOST_CONFIG:
        raise _HarmError(f"{CONFIG_NAME} has {member.size:,} bytes")
    extracted = tar.extractfile(member)
    content = extracted.read(_MOST_CONFIG + 1) if extracted else b""
    if len(content) < member.size:
        raise EOFError("the archive is cut off")
    return content


def _load(content: bytes, path: Path) -> Mapping[str, Any]:
    """The config as plain values. Raises InputError."""
    import yaml

    where = f"{path}:{CONFIG_NAME}"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = content.decode()
        _expect_plain(yaml.parse(text, loader))
        config = yaml.load(text, loader)  # noqa: S506 (a safe loader)
    except _HarmError as harm:
        raise InputError(f"refused: {harm}", where=where, remedy=_REMEDY) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = f"not usable YAML ({visible(' '.join(str(error).split())[:120])})"
        raise InputError(what, where=where, remedy=_REMEDY) from None
    if not isinstance(config, dict):
        raise InputError("holds no model's config", where=where, remedy=_REMEDY)
    return config


def _expect_plain(events: Iterator[Event]) -> None:
    """Look at the parser's events before anything is built of them. Raises _HarmError."""
    import yaml

    depth = 0
    for count, event in enumerate(events):
        if count > _MOST_EVENTS:
            raise _HarmError(f"its config has more than {_MOST_EVENTS:,} values")
        if isinstance(event, yaml.AliasEvent):
            raise _HarmError("its config repeats parts of itself (aliases)")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_DEPTH:
            raise _HarmError("its config is nested too deeply")


def _described(path: Path, size: int, weights: int | None, config: Mapping[str, Any]) -> NemoFile:
    return NemoFile(
        path=path,
        size=size,
        decoder=_decoder(config),
        target=visible(_text(config, "target")),
        vocabulary=_vocabulary(config),
        sample_rate=_whole(config, "sample_rate") or _whole(config, "preprocessor", "sample_rate"),
        weights=weights,
        streaming=_is_streaming(config),
        nemo_version=visible(_text(config, "nemo_version")),
        can_transcribe=_at(config, "validation_ds") is not None,
        tdt=_decoder(config) in (Decoder.TDT, Decoder.HYBRID) and _has_tdt(config),
    )


def _decoder(config: Mapping[str, Any]) -> Decoder:
    target = _text(config, "target").lower()
    if "hybrid" in target:
        return Decoder.HYBRID
    head = _text(config, "decoder", "_target_").lower()
    if "rnnt" in target or "rnnt" in head:
        return Decoder.TDT if _has_tdt(config) else Decoder.RNNT
    if "ctc" in target or "ctc" in head or "convasrdecoder" in head:
        return Decoder.CTC
    return Decoder.UNKNOWN


def _has_tdt(config: Mapping[str, Any]) -> bool:
    """True if loss or decoding of an RNNT head is TDT's."""
    loss = _text(config, "loss", "loss_name").lower()
    model_type = _text(config, "decoding", "model_type").lower()
    durations = _at(config, "decoding", "durations") or _at(config, "model_defaults", "tdt_durations")
    return "tdt" in loss or "tdt" in model_type or bool(durations)


def _is_streaming(config: Mapping[str, Any]) -> bool:
    """True for an encoder that keeps a cache between chunks of sound."""
    return (
        _text(config, "encoder", "att_context_style") == "chunked_limited"
        or _at(config, "encoder", "causal_downsampling") is True
        or _at(config, "encoder", "conv_context_size") == "causal"
    )


def _vocabulary(config: Mapping[str, Any]) -> int | None:
    labels = (
        _at(config, "labels") or _at(config, "joint", "vocabulary") or _at(config, "decoder", "vocabulary")
    )
    if isinstance(labels, list) and labels:
        return len(labels)
    return _whole(config, "decoder", "vocab_size") or _whole(config, "decoder", "num_classes")


def _at(config: Mapping[str, Any], *keys: str) -> Any:
    """What stands at a path of keys; None if nothing does."""
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(config: Mapping[str, Any], *keys: str) -> str:
    value = _at(config, *keys)
    return value if isinstance(value, str) else ""


def _whole(config: Mapping[str, Any], *keys: str) -> int | None:
    value = _at(config, *keys)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
