"""What a run needs of a cycle: the split with audio paths as the run sees them, and the audio itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import sha256_of
from clinasr_tui.flywheel.manifest import ManifestRow, audio_path, read_manifest
from clinasr_tui.flywheel.rewrite import edited
from clinasr_tui.launch.places import file_name
from clinasr_tui.launch.send import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.launch.places import Places

_ELSEWHERE = "audio-from-elsewhere"
_LONGEST = 180
"""Bytes of a name that are kept: with its mark and what it bears while it is sent it is to fit in 255."""


class Side(NamedTuple):
    """One side of the split as it is sent."""

    path: str
    """Relative to the root."""
    rows: int
    seconds: float
    """Sum of the durations that are known."""
    sha256: str
    """Of the operator's own file, not of the rewritten copy."""


class Packed(NamedTuple):
    """Everything to send for a cycle."""

    items: tuple[Item, ...]
    train: Side
    validation: Side


def pack(train: Path, validation: Path, places: Places) -> Packed:
    """Read both sides of a split and say what is to be sent. Raises InputError naming `file:line`.

    Only `audio_filepath` differs in the copies. Audio below the split's folder keeps its place there, other
    audio is gathered in one folder; each content has a name of its own, so that what is launched later never
    replaces what a run reads.
    """
    audio: dict[Path, Item] = {}
    sides, items = [], []
    for manifest in (train, validation):
        rows = read_manifest(manifest)
        lines = list(_rewritten(manifest, rows, places, audio))
        path = f"{places.split}/{manifest.name}"
        seconds = sum(row.duration or 0.0 for row in rows)
        digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
        sides.append(Side(path, len(rows), seconds, digest))
        items.append(Item(path, b"".join(lines)))
    return Packed((*audio.values(), *items), sides[0], sides[1])


def _rewritten(
    manifest: Path, rows: list[ManifestRow], places: Places, audio: dict[Path, Item]
) -> Iterator[bytes]:
    for row in rows:
        source = audio_path(manifest, row.audio_filepath)
        if source not in audio:
            if not source.is_file():
                raise InputError(
                    f"its audio is not there: {row.audio_filepath}",
                    where=f"{manifest}:{row.line}",
                    remedy="Run `clinasr-tui check` on the manifest",
                )
            audio[source] = _item(f"{places.data}/{place_below(source, manifest.parent)}", source)
        yield edited(row.raw, {"audio_filepath": places.seen(audio[source].path)}) + b"\n"


def _item(place: str, source: Path) -> Item:
    """Audio to send under its content's name; an evaluation may have sent it under its own."""
    return Item(marked(place, sha256_of(source, "audio")), source, lambda _: place)


def marked(place: str, sha256: str) -> str:
    """The place of a file with this content: another content of that name has another place."""
    folder, _, name = place.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    kept = os.fsencode(stem)[:_LONGEST].decode("utf-8", "ignore")
    return f"{folder}/{kept}-{sha256[:12]}{dot}{suffix}"


def place_below(source: Path, folder: Path) -> str:
    """Where the audio goes, relative to the cycle's folder."""
    try:
        relative = source.relative_to(folder)
    except ValueError:
        relative = None
    if relative is not None and ".." not in relative.parts:
        return relative.as_posix()
    mark = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{_ELSEWHERE}/{mark}-{file_name(source.stem)}{source.suffix}"
