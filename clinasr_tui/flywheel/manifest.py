"""Read NeMo JSONL manifests with the clinical extension (method, section 1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import numbered_lines, open_input
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

BOM = b"\xef\xbb\xbf"
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One manifest line. `fields` is the whole JSON object as read, unknown fields untouched."""

    line: int
    """1-based line number in the file."""
    audio_filepath: str
    text: str
    duration: float | None
    """Seconds; None when null or absent (look into `fields` to tell which)."""
    term: str
    entity_category: str
    ipa_source: str
    voice_id: str
    noise_level: str
    context_type: str
    fields: Mapping[str, object]
    raw: bytes
    """The line's bytes without its line end and byte-order mark: what a split writes out again."""


class RowFault(Exception):  # noqa: N818  (a finding about a line, raised only to the next caller)
    """Why a line or one of its fields cannot be used.

    `id` and `field` are a pre-flight finding's; `what` is a phrase such as "not valid JSON (…)".
    """

    def __init__(self, fault_id: str, field: str, what: str) -> None:
        self.id = fault_id
        self.field = field
        self.what = what
        super().__init__(what)

    def as_input_error(self, where: str) -> InputError:
        """The one line an operator sees when the file must be usable as a whole."""
        return InputError(self.what, where=where, remedy="Fix or remove the line")


def parse_row(raw: bytes, *, path: Path, line: int) -> ManifestRow:
    """Parse one manifest line. Raises InputError naming `path:line`.

    `audio_filepath` and `text` must be there as text, `duration` may be null or absent. A clinical
    field that is null or absent is "". A byte-order mark is accepted before line 1 only.
    """
    try:
        fields = decode_object(raw, line)
        return ManifestRow(
            line=line,
            audio_filepath=required_text(fields, "audio_filepath"),
            text=required_text(fields, "text"),
            duration=duration_of(fields),
            fields=fields,
            raw=without_bom(raw, line),
            **{name: clinical_text(fields.get(name)) for name in CLINICAL_FIELDS},
        )
    except RowFault as fault:
        raise fault.as_input_error(f"{path}:{line}") from None


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read every row (blank lines are skipped). Raises InputError at the first unusable line."""
    with open_input(path, "manifest") as stream:
        rows = [parse_row(raw, path=path, line=line) for line, raw in numbered_lines(stream)]
    if not rows:
        raise InputError("the manifest has no rows", where=str(path), remedy="Make one in stage build")
    return rows


def audio_path(manifest: Path, audio_filepath: str) -> Path:
    """Where a row's audio is: absolute, or relative to the manifest's folder as NeMo has it.

    A leading `~` is the home folder unless there is a file of that name beside the manifest.
    """
    beside = manifest.parent / audio_filepath
    if audio_filepath.startswith("~") and not beside.exists():
        try:
            return Path(audio_filepath).expanduser()
        except RuntimeError:
            return beside
    return beside


def without_bom(raw: bytes, line: int) -> bytes:
    """The line without the byte-order mark a file may begin with."""
    return raw[len(BOM) :] if line == 1 and raw.startswith(BOM) else raw


def decode_object(raw: bytes, line: int) -> dict[str, object]:
    """The JSON object on a line. Raises RowFault with id `bom`, `bad_json` or `not_object`."""
    try:
        value = _load(without_bom(raw, line).decode())
    except json.JSONDecodeError as error:
        if raw.startswith(BOM):
            raise RowFault("bom", "", "a byte-order mark stands before the row") from None
        raise RowFault("bad_json", "", f"not valid JSON ({error.msg} at column {error.colno})") from None
    except UnicodeDecodeError as error:
        what = f"not UTF-8 (byte 0x{raw[error.start]:02x} at column {error.start + 1})"
        raise RowFault("bad_json", "", what) from None
    except RecursionError:
        raise RowFault("bad_json", "", "not usable JSON (nested too deeply)") from None
    except ValueError as error:
        raise RowFault("bad_json", "", f"not usable JSON ({error})") from None
    if not isinstance(value, dict):
        raise RowFault("not_object", "", f"a JSON {_kind(value)}, not an object")
    return value


def _load(text: str) -> object:
    """`json.loads` without its search for surrounding whitespace, which a row rarely has."""
    try:
        value, end = _decoder.raw_decode(text)
    except json.JSONDecodeError:
        end = -1
    return value if end == len(text) else _decoder.decode(text)


def required_text(fields: Mapping[str, object], name: str) -> str:
    """A field that must be text. Raises RowFault with id `missing_field` or `bad_field`."""
    value = fields.get(name)
    if isinstance(value, str):
        if not value and name == "audio_filepath":
            raise RowFault("missing_field", name, f"{name} is empty")
        return value
    if value is None:
        raise RowFault("missing_field", name, f"{name} is {'null' if name in fields else 'missing'}")
    raise RowFault("bad_field", name, f"{name} is a {_kind(value)}, not text")


def duration_of(fields: Mapping[str, object]) -> float | None:
    """`duration` in seconds, None if null or absent. Raises RowFault with id `bad_duration`."""
    value = fields.get("duration")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowFault("bad_duration", "duration", f"duration is a {_kind(value)}, not a number of seconds")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds) or seconds < 0:
        raise RowFault("bad_duration", "duration", f"duration is no length in seconds ({seconds:g})")
    return seconds


def clinical_text(value: object) -> str:
    """A clinical field as text: "" for null or absent, JSON for what is not text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true/false value"
    kinds = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "null")
