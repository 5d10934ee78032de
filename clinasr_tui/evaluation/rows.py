"""The rows of a manifest on their way to a transcription and back: only `audio_filepath` differs there."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.files import numbered_lines, open_input, reading, sha256_of, write_atomically
from clinasr_tui.flywheel.manifest import ManifestRow, audio_path, read_manifest
from clinasr_tui.flywheel.rewrite import edited
from clinasr_tui.flywheel.workspace import MANIFEST_FILE
from clinasr_tui.launch.packing import marked, place_below
from clinasr_tui.launch.send import Item
from clinasr_tui.nemo_side.transcribe import as_json
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.launch.places import Places


_CHUNK = 1 << 20


class PackedRows(NamedTuple):
    """A manifest as the transcription sees it."""

    manifest: bytes
    seen: tuple[str, ...]
    """The audio path of each row there."""
    own: tuple[str, ...]
    """The same in the operator's manifest."""
    lines: tuple[int, ...]
    """The line of each row in the operator's manifest."""
    audio: tuple[Item, ...]
    """Audio to send; a file that is missing here is missing there, and its row says so."""
    unsent: dict[str, str]
    """Audio path there → why the file cannot be read here; its row fails with that."""


class Untranscribed(NamedTuple):
    """A row without a hypothesis, and why."""

    line: int
    audio_filepath: str
    error: str


class Heard(NamedTuple):
    """What came back: the rows that have a hypothesis, as they are written, and those that have none."""

    rows: list[bytes]
    untranscribed: list[Untranscribed]


def keep_rows(manifest: Path, sha256: str, folder: Path) -> Path:
    """A copy of a manifest in `folder`, as it was when it had this checksum: later changes do not reach it.

    Raises InputError if it has another one by now.
    """
    kept = folder / MANIFEST_FILE
    if kept.is_file() and sha256_of(kept, "manifest") == sha256:
        return kept
    with open_input(manifest, "manifest") as stream, reading(manifest, "manifest"):
        write_atomically(kept, iter(lambda: stream.read(_CHUNK), b""))
    if sha256_of(kept, "manifest") != sha256:
        kept.unlink()
        raise InputError("the manifest was changed just now", where=str(manifest), remedy="Start again")
    return kept


def pack_rows(
    manifest: Path, places: Places, *, in_place: bool, audio_folder: str = "", kept: Path | None = None
) -> PackedRows:
    """Rewrite a manifest for the machine; with `in_place` audio is read where it is, and none is sent.

    Its rows are read from the copy `kept`, if there is one. Audio goes below `audio_folder` of the root, by
    default the cycle's. Raises InputError naming `file:line` for a row that cannot be read.
    """
    audio: dict[Path, str] = {}
    written, seen, own, lines = [], [], [], []
    for row in rows_of(manifest, kept):
        source = audio_path(manifest, row.audio_filepath)
        if in_place:
            place = str(source.absolute())
        else:
            if source not in audio:
                audio[source] = f"{audio_folder or places.data}/{place_below(source, manifest.parent)}"
            place = places.seen(audio[source])
        written.append(edited(row.raw, {"audio_filepath": place}) + b"\n")
        seen.append(place)
        own.append(row.audio_filepath)
        lines.append(row.line)
    faults = {source: _fault(source) for source in audio}
    items = tuple(
        Item(place, source, partial(marked, place)) for source, place in audio.items() if faults[source] == ""
    )
    unsent = {places.seen(audio[source]): fault for source, fault in faults.items() if fault}
    return PackedRows(b"".join(written), tuple(seen), tuple(own), tuple(lines), items, unsent)


def rows_of(manifest: Path, kept: Path | None) -> list[ManifestRow]:
    """The rows of a manifest, from its copy if there is one. Raises InputError naming `file:line`."""
    if kept is None:
        return read_manifest(manifest)
    try:
        return read_manifest(kept)
    except InputError as error:
        # What is to be mended is the operator's own file, not the copy.
        where = (error.where or "").replace(str(kept), str(manifest))
        raise InputError(error.what, where=where, remedy=error.remedy) from None


def _fault(source: Path) -> str | None:
    """Why audio cannot be sent; "" if it can, None if it is not there."""
    if not source.is_file():
        return None
    try:
        with source.open("rb"):
            return ""
    except OSError as error:
        return f"it cannot be read here: {error.strerror}"


def unpack_rows(transcripts: Path, packed: PackedRows) -> Heard:
    """The rows as transcribed, with the manifest's own paths again. Raises RemoteError if they are others."""
    rows, untranscribed = [], []
    count = 0
    with open_input(transcripts, "transcript file") as stream:
        for number, line in numbered_lines(stream):
            row = _row(line, number, transcripts)
            if count >= len(packed.seen) or row.get("audio_filepath") != packed.seen[count]:
                raise _foreign(transcripts, number)
            row["audio_filepath"] = packed.own[count]
            error = row.pop("error", None)
            error = packed.unsent.get(packed.seen[count], error) if error else None
            if error:
                told = visible(str(error))
                untranscribed.append(Untranscribed(packed.lines[count], packed.own[count], told))
            else:
                rows.append(as_json(row) + b"\n")
            count += 1
    if count != len(packed.seen):
        raise RemoteError(
            f"{count} of {len(packed.seen)} rows came back",
            where=str(transcripts),
            remedy="The next start goes on",
        )
    return Heard(rows, untranscribed)


def _row(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("hyp"), str):
        raise _foreign(path, number)
    return row


def _foreign(path: Path, number: int) -> RemoteError:
    return RemoteError(
        "this is not the row that was sent to be transcribed",
        where=f"{path}:{number}",
        remedy="Start over (earlier rows: start over; --again)",
    )
