"""Write a corrected copy of a manifest: other audio folders, durations from the audio itself.

A manifest is never changed in place (method, section 1). In the copy only the values that are
corrected differ; every other byte, unknown fields, spacing and broken lines stay as they are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.audio import AudioError, probe
from clinasr_tui.flywheel.files import open_input, reading, write_together
from clinasr_tui.flywheel.manifest import RowFault, audio_path, decode_object, duration_of
from clinasr_tui.flywheel.preflight_rules import DURATION_TOLERANCE
from clinasr_tui.flywheel.progress import Progress, report
from clinasr_tui.text import visible

_ROWS_A_STEP = 256
_AUDIO_THREADS = 8
_DIGITS = 6
_SPACE = re.compile(r"[ \t\n\r]*")
_LONE_EQUALS = re.compile("(?<!=)=(?!=)")
_decoder = json.JSONDecoder()


class PathChange(NamedTuple):
    """Audio paths in folder `source` are to be in folder `target`."""

    source: str
    target: str

    @classmethod
    def parse(cls, text: str) -> PathChange:
        """Read `FROM=TO`; an equals sign within a path is written twice. Raises InputError."""
        sides = [side.replace("==", "=") for side in _LONE_EQUALS.split(text)]
        if len(sides) != 2 or not sides[0]:
            remedy = "Write FROM=TO; an equals sign within a path is written twice (==)"
            raise InputError(f"{visible(text)!r} does not say which folder becomes which", remedy=remedy)
        return cls(*sides)

    def apply(self, path: str) -> str | None:
        """The path in its new folder; None if it is not in `source` (whole folder names count)."""
        source = self.source.rstrip("/\\")
        rest = path[len(source) :]
        if not path.startswith(source) or (rest and rest[0] not in "/\\"):
            return None
        if rest.startswith("\\") and "\\" not in self.target:
            rest = rest.replace("\\", "/")
        changed = self.target.rstrip("/") + rest if self.target else rest[1:]
        return changed or None


@dataclass(slots=True)
class Rewritten:
    """What differs in the copy."""

    rows: int = 0
    broken: int = 0
    """Lines that are no JSON object, copied as they are."""
    paths_changed: int = 0
    made_absolute: int = 0
    """Relative audio paths made absolute, because the copy is in another folder."""
    durations_filled: int = 0
    audio_unread: int = 0
    """Rows whose duration stays, because their audio cannot be read."""
    used: dict[PathChange, int] = field(default_factory=dict)
    """Rows changed by each path change."""


def rewrite_manifest(
    manifest: Path,
    out: Path,
    *,
    changes: Sequence[PathChange] = (),
    fill_durations: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> Rewritten:
    """Write the corrected copy `out`, all of it or nothing; of several changes the first that fits is made.

    Filled in are durations that are missing, null, unusable or more than 0.05 s off. In another folder
    relative audio paths that no change concerns become absolute. Raises InputError if a file cannot be
    read or written, if `out` is the manifest itself or (without `replace`) another file's place, and if
    no audio path is in any folder to be changed; InterruptedError if `progress` says so.
    """
    if out.is_dir():
        raise InputError("is a folder", where=str(out), remedy="Name the file the copy is to be")
    same_file = out.exists() and manifest.exists() and out.samefile(manifest)
    if same_file or out.resolve() == manifest.resolve():
        raise InputError(
            "this is the manifest itself, and it is never changed in place",
            where=str(out),
            remedy="Choose another name for the copy",
        )
    with open_input(manifest, "manifest") as stream:
        copy = _Copy(manifest, out, changes, fill_durations)
        write_together({out: copy.lines(stream, progress)}, replace=replace)
    return copy.done


class _Copy:
    """One pass over a manifest."""

    def __init__(self, manifest: Path, out: Path, changes: Sequence[PathChange], fill: bool) -> None:
        self._manifest, self._out = manifest, out
        self._changes, self._fill = changes, fill
        self._moves = out.parent.resolve() != manifest.parent.resolve()
        self._first_path = ""
        self.done = Rewritten(used=dict.fromkeys(changes, 0))

    def lines(self, stream: BinaryIO, progress: Progress | None) -> Iterator[bytes]:
        """The copy's lines with their ends."""
        size = os.fstat(stream.fileno()).st_size
        numbered = enumerate(_raw_lines(stream, self._manifest), 1)
        position = 0
        with ThreadPoolExecutor(_AUDIO_THREADS, "audio-headers") as pool:
            while batch := list(islice(numbered, _ROWS_A_STEP)):
                rows = [self._row(raw, line) for line, raw in batch]
                if self._fill:
                    list(pool.map(self._look, [rows[at::_AUDIO_THREADS] for at in range(_AUDIO_THREADS)]))
                for row in rows:
                    position += len(row.raw)
                    yield self._written(row)
                report(progress, min(position / size, 1.0) if size else 0.0, "rewriting")
        if self._changes and not any(self.done.used.values()):
            folders = ", ".join(visible(change.source) for change in self._changes)
            example = f"The first is {visible(self._first_path)}" if self._first_path else None
            raise InputError(f"no audio path is in {folders}", where=str(self._manifest), remedy=example)

    def _row(self, raw: bytes, line: int) -> _Row:
        row = _Row(raw)
        if raw.isspace():
            return row
        self.done.rows += 1
        try:
            row.fields = decode_object(raw.rstrip(b"\r\n"), line)
        except RowFault:
            self.done.broken += 1
            return row
        audio = row.fields.get("audio_filepath")
        if isinstance(audio, str) and audio:
            row.audio = self._moved(audio)
            self._first_path = self._first_path or audio
            if row.audio != audio:
                row.edits["audio_filepath"] = row.audio
        return row

    def _moved(self, audio: str) -> str:
        """Where the copy says the audio is."""
        for change in self._changes:
            changed = change.apply(audio)
            if changed is not None:
                self.done.used[change] += 1
                self.done.paths_changed += 1
                return changed
        beside = self._manifest.parent / audio
        if not self._moves or audio_path(self._manifest, audio) != beside or Path(audio).is_absolute():
            return audio
        self.done.made_absolute += 1
        return os.path.join(self._manifest.parent.resolve(), audio)  # noqa: PTH118  (keeps what it says)

    def _look(self, rows: Sequence[_Row]) -> None:
        for row in rows:
            if row.audio:
                try:
                    row.seconds = probe(audio_path(self._out, row.audio)).seconds
                except AudioError:
                    row.seconds = None

    def _written(self, row: _Row) -> bytes:
        """The row's line, corrected."""
        if self._fill and row.audio:
            if row.seconds is None:
                self.done.audio_unread += 1
            elif _differs(row.fields, row.seconds):
                self.done.durations_filled += 1
                row.edits["duration"] = round(row.seconds, _DIGITS)
        return edited(row.raw, row.edits) if row.edits else row.raw


def _raw_lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    with reading(path, "manifest"):
        yield from stream


@dataclass(slots=True)
class _Row:
    """A line on its way into the copy."""

    raw: bytes
    fields: dict[str, object] = field(default_factory=dict)
    audio: str = ""
    """As the copy has it."""
    seconds: float | None = None
    """The audio's."""
    edits: dict[str, object] = field(default_factory=dict)


def _differs(fields: dict[str, object], seconds: float) -> bool:
    try:
        said = duration_of(fields)
    except RowFault:
        return True
    return said is None or abs(said - seconds) > DURATION_TOLERANCE


def edited(raw: bytes, edits: dict[str, object]) -> bytes:
    """A line that is a JSON object with other values for some of its keys; all else stays as it stands.

    A key that is not there comes last, one that stands twice is changed where it counts: the last time.
    """
    text = raw.decode()
    places, end = _places(text)
    pieces = []
    for key, value in edits.items():
        if key in places:
            start, stop = places[key]
            pieces.append((start, stop, _as_json(value, text[start:stop])))
        else:
            spaced = ": " in text[:end]
            name = json.dumps(key) + (": " if spaced else ":")
            pieces.append((end, end, (", " if spaced else ",") + name + _as_json(value, text)))
    kept, at = [], 0
    for start, stop, piece in sorted(pieces, key=itemgetter(0)):
        kept += [text[at:start], piece]
        at = stop
    return "".join([*kept, text[at:]]).encode()


def _as_json(value: object, instead_of: str) -> str:
    """JSON that escapes what is not ASCII if what it replaces did, or if UTF-8 cannot hold it."""
    plain = json.dumps(value, ensure_ascii=False)
    holds_surrogate = any("\ud800" <= character <= "\udfff" for character in plain)
    return json.dumps(value) if instead_of.isascii() or holds_surrogate else plain


def _places(text: str) -> tuple[dict[str, tuple[int, int]], int]:
    """Where each key's value stands in a JSON object's text, and where the last value ends."""
    places: dict[str, tuple[int, int]] = {}
    at = end = _after_space(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)
        _, end = _decoder.raw_decode(text, at)
        places[key] = (at, end)
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return places, end


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
