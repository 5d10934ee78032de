"""Read NeMo JSONL manifests with the clinical extension (method, section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    """The line's bytes without its line end: what a split writes out again."""


def parse_row(raw: bytes, *, path: Path, line: int) -> ManifestRow:
    """Parse one manifest line. Raises InputError naming `path:line`."""
    raise NotImplementedError


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read every row (blank lines are skipped). Raises InputError at the first unusable line."""
    raise NotImplementedError


def audio_path(manifest: Path, audio_filepath: str) -> Path:
    """Where a row's audio is: absolute, or relative to the manifest's folder as NeMo has it."""
    raise NotImplementedError
