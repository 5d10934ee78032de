"""Read NeMo JSONL manifests with the clinical extension (method, section 1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import numbered_lines, open_input, reading
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

BOM = b"\xef\xbb\xbf"
ARRAY_REMEDY = "Write one object a line: jq -c '.[]' does it"
_decoder = json.JSONDecoder()
# Far more than any row needs, and far less than what could exhaust a later reader of the same value.
_MAX_DEPTH = 64


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
        remedy = ARRAY_REMEDY if self.id == "json_array" else "Fix or remove the line"
        return InputError(self.what, where=where, remedy=remedy)


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
    with open_input(path, "manifest") as stream, reading(path, "manifest"):
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
    """The JSON object on a line. Raises RowFault: `bom`, `bad_json`, `json_array` or `not_object`."""
    try:
        value = _load((without_bom(raw, line) if line == 1 else raw).decode())
    except json.JSONDecodeError as error:
        raise _json_fault(raw, line, error) from None
    except UnicodeDecodeError as error:
        what = f"not UTF-8 (byte 0x{error.object[error.start]:02x} at column {error.start + 1})"
        raise RowFault("bad_json", "", what) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise RowFault("bad_json", "", f"not usable JSON ({error})") from None
    if not isinstance(value, dict):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            raise _array()
        raise RowFault("not_object", "", f"a JSON {_kind(value)}, not an object")
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH and _deeper_than(value, _MAX_DEPTH):
        raise _too_deep()
    return value


def _json_fault(raw: bytes, line: int, error: json.JSONDecodeError) -> RowFault:
    if b"\0" in raw:
        place = f"from column {raw.index(0) + 1}: damaged, or saved as UTF-16"
        return RowFault("bad_json", "", f"not valid JSON (NUL bytes {place})")
    if without_bom(raw, line).lstrip().startswith(b"["):
        return _array()
    if raw.startswith(BOM):
        return RowFault("bom", "", "a byte-order mark stands before the row")
    return RowFault("bad_json", "", f"not valid JSON ({error.msg} at column {error.colno})")


def _array() -> RowFault:
    return RowFault("json_array", "", "a JSON array begins here, where one object a line belongs")


def _too_deep() -> RowFault:
    return RowFault("bad_json", "", "not usable JSON (nested too deeply)")


def _deeper_than(value: object, depth: int) -> bool:
    """Whether objects and lists lie within each other more than `depth` times."""
    level: list[object] = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else cast("list[object]", outer))
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


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
