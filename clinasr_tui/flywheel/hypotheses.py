"""Read transcripts: `per_sample.json` and `offline_hyps.jsonl`, JSONL or one JSON array (method, section 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clinasr_tui.flywheel.manifest import ManifestRow


class Hypothesis(NamedTuple):
    """One transcribed row, as a view of its columns."""

    line: int
    audio_filepath: str
    reference: str
    hypothesis: str
    term: str
    entity_category: str
    ipa_source: str
    voice_id: str
    noise_level: str
    context_type: str


@dataclass(slots=True)
class Hypotheses:
    """Transcribed rows in input order, one list a column (a million rows must fit and be quick)."""

    path: Path | None
    line: list[int] = field(default_factory=list)
    """Where the row stands: 1-based line in a JSONL file, 1-based element in a JSON array."""
    audio_filepath: list[str] = field(default_factory=list)
    reference: list[str] = field(default_factory=list)
    hypothesis: list[str] = field(default_factory=list)
    term: list[str] = field(default_factory=list)
    entity_category: list[str] = field(default_factory=list)
    ipa_source: list[str] = field(default_factory=list)
    voice_id: list[str] = field(default_factory=list)
    noise_level: list[str] = field(default_factory=list)
    context_type: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.reference)

    def row(self, index: int) -> Hypothesis:
        """Row `index` (0-based)."""
        raise NotImplementedError

    def column(self, name: str) -> list[str]:
        """A text column by its field name (`term`, `entity_category`, …)."""
        raise NotImplementedError

    def select(self, indices: Iterable[int]) -> Hypotheses:
        """A copy with just these rows, in this order."""
        raise NotImplementedError


def read_hypotheses(path: Path) -> Hypotheses:
    """Read transcripts of either form. Raises InputError naming `path:line`."""
    raise NotImplementedError


def fill_from_manifest(hypotheses: Hypotheses, manifest: Iterable[ManifestRow]) -> list[str]:
    """Fill empty clinical fields (and references) by `audio_filepath` from a manifest; returns warnings."""
    raise NotImplementedError
