"""What a manifest's lines say on their own, and what their audio says: pre-flight, line by line."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.audio import AudioError, probe
from clinasr_tui.flywheel.manifest import (
    BOM,
    RowFault,
    audio_path,
    clinical_text,
    decode_object,
    duration_of,
    required_text,
    without_bom,
)
from clinasr_tui.flywheel.normalise import contains_term, normalise
from clinasr_tui.flywheel.preflight_rules import DURATION_TOLERANCE, MAX_SECONDS, MIN_SECONDS
from clinasr_tui.flywheel.vocabulary import ENTITY_CATEGORIES, IPA_SOURCES
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.flywheel.preflight_findings import Findings

_LONGEST_QUOTE = 80
_LONGEST_PATH = 320
_TERMS_REMEMBERED = 1 << 16
_VOCABULARIES = (("entity_category", ENTITY_CATEGORIES), ("ipa_source", IPA_SOURCES))


RowAudio = tuple[str, float | None]
"""Where a row's audio is (without `.` and `..`), and the seconds the row says, if it says any.

A plain tuple: a named one takes a twentieth of the whole check to make.
"""


class RowChecks:
    """Checks lines one after the other. Findings go to `findings`."""

    def __init__(self, manifest: Path, findings: Findings) -> None:
        self._manifest = manifest.absolute()
        self._folder = str(self._manifest.parent)
        self._add = findings.add
        self._terms: dict[str, str] = {}

    def row(self, raw: bytes, line: int) -> RowAudio | None:
        """Check one line (without its end); returns its audio if it names one."""
        if line == 1 and raw.startswith(BOM):
            self._add("bom", "", line, "a byte-order mark stands before the first row")
        if b"\r" in raw:
            self._add("carriage_return", "", line, "a carriage return stands within the line")
        try:
            fields = decode_object(raw, line)
        except RowFault as fault:
            self._add(fault.id, fault.field, line, fault.what)
            return None
        text, audio = fields.get("text"), fields.get("audio_filepath")
        colons = raw.count(b":") - len(fields)
        if colons and (b"\\" in raw or colons != _colons(text) + _colons(audio)):
            self._duplicate_keys(raw, line)
        # The usual row passes by plain comparisons; whatever is unusual is looked at closely.
        seconds = fields.get("duration")
        if type(seconds) is not float or not MIN_SECONDS <= seconds <= MAX_SECONDS:
            seconds = self._duration(fields, line)
        if type(text) is not str or not text.isprintable() or not text.strip():
            self._text(fields, line)
        self._clinical(fields, text if type(text) is str else None, line)
        if type(audio) is not str or not audio:
            try:
                required_text(fields, "audio_filepath")
            except RowFault as fault:
                self._add(fault.id, fault.field, line, fault.what)
            return None
        return self._place(audio), seconds

    def _place(self, audio: str) -> str:
        if audio.startswith("~"):
            audio = str(audio_path(self._manifest, audio))
        elif not audio.startswith("/"):
            audio = os.path.join(self._folder, audio)  # noqa: PTH118  (a Path costs ten times as much)
        return os.path.normpath(audio)

    def _duplicate_keys(self, raw: bytes, line: int) -> None:
        twice: list[str] = []

        def collect(pairs: list[tuple[str, object]]) -> None:
            twice.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

        json.loads(without_bom(raw, line).decode(), object_pairs_hook=collect)
        for key in twice:
            self._add("duplicate_key", clipped(key), line, f"{quoted(key)} stands twice")

    def _duration(self, fields: Mapping[str, object], line: int) -> float | None:
        try:
            seconds = duration_of(fields)
        except RowFault as fault:
            self._add(fault.id, fault.field, line, fault.what)
            return None
        if "duration" not in fields:
            self._add("missing_field", "duration", line, "duration is missing")
        elif seconds is None:
            self._add("null_duration", "duration", line, "duration is null")
        elif seconds > MAX_SECONDS:
            self._add("too_long", "duration", line, f"{seconds:.2f} s is longer than {MAX_SECONDS:g} s")
        elif seconds < MIN_SECONDS:
            self._add("too_short", "duration", line, f"{seconds:.3f} s is shorter than {MIN_SECONDS:g} s")
        return seconds

    def _text(self, fields: Mapping[str, object], line: int) -> None:
        try:
            text = required_text(fields, "text")
        except RowFault as fault:
            self._add(fault.id, fault.field, line, fault.what)
            return
        if not text.strip():
            self._add("empty_text", "text", line, "the text is empty")
        if "\ufeff" in text:
            self._add("bom", "text", line, "the text holds a byte-order mark")
        whole = "".join(each for each in text if not "\ud800" <= each <= "\udfff")
        if len(whole) < len(text):
            self._add("bad_unicode", "text", line, "half a surrogate pair in the text")
        if visible(whole) != whole:
            self._add("control_characters", "text", line, f"control characters in the text {quoted(text)}")

    def _clinical(self, fields: Mapping[str, object], text: str | None, line: int) -> None:
        for field, known in _VOCABULARIES:
            value = fields.get(field)
            if value not in known:
                self._unknown(field, clinical_text(value), line)
        term = fields.get("term")
        if type(term) is not str:
            term = clinical_text(term)
        scored_term = self._terms.get(term)
        if scored_term is None:
            if len(self._terms) >= _TERMS_REMEMBERED:
                self._terms.clear()
            scored_term = self._terms[term] = normalise(term)
        if not scored_term:
            what = f"nothing is left of the term {quoted(term)} when normalised" if term else "no term"
            self._add("empty_term", "term", line, what)
        elif text is not None and not _contains(text, scored_term):
            self._add("term_not_in_text", "term", line, f"{quoted(term)} does not occur in the row's text")

    def _unknown(self, field: str, value: str, line: int) -> None:
        what = f"{field} {quoted(value)} is not known" if value else f"{field} is empty or missing"
        self._add(f"unknown_{field}", field, line, what)


def check_audio(rows: Sequence[tuple[int, RowAudio]]) -> list[tuple[str, str, int, str]]:
    """What `Findings.add` takes, for the rows whose audio cannot be used or is not as they say."""
    field = "audio_filepath"
    found = []
    for line, (path, seconds) in rows:
        try:
            info = probe(path)
        except AudioError as error:
            found.append((error.id, field, line, f"{error.what}: {clipped(path)}"))
            continue
        if info.channels != 1:
            found.append(("not_mono", field, line, f"{info.channels} channels in {clipped(path)}"))
        if seconds is None:
            if info.seconds > MAX_SECONDS:
                what = f"{info.seconds:.2f} s of audio are longer than {MAX_SECONDS:g} s"
                found.append(("too_long", field, line, what))
        elif abs(seconds - info.seconds) > DURATION_TOLERANCE:
            what = f"duration says {seconds:.2f} s, the audio lasts {info.seconds:.2f} s"
            found.append(("wrong_duration", "duration", line, what))
    return found


def _contains(text: str, scored_term: str) -> bool:
    """Whether a text contains a normalised term; the usual case is plain without normalising the text."""
    plain = text.isascii() and contains_term(text, scored_term)
    return plain or contains_term(normalise(text), scored_term)


def _colons(value: object) -> int:
    return value.count(":") if isinstance(value, str) else 0


def clipped(text: str) -> str:
    """Untrusted text made visible, and cut where it is long."""
    shown = visible(text[: _LONGEST_PATH + 1])
    return f"{shown[:_LONGEST_PATH]}…" if len(shown) > _LONGEST_PATH else shown


def quoted(text: str) -> str:
    """A few words of untrusted text."""
    shown = visible(text[: _LONGEST_QUOTE + 1])
    return f'"{shown[:_LONGEST_QUOTE]}{"…" if len(shown) > _LONGEST_QUOTE else ""}"'
