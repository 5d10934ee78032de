"""Scored sets for tests: made from short rows, or the closed loop's two cycles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clinasr_tui.flywheel.hypotheses import Hypotheses, read_hypotheses
from clinasr_tui.flywheel.scoring import ScoredSet, score

DATA = Path(__file__).parents[1] / "data" / "closed_loop"


def rows(*given: dict[str, str]) -> Hypotheses:
    """Columns from short rows; what a row leaves out is "" (its audio is named by its number)."""
    made = Hypotheses(None)
    for number, row in enumerate(given):
        made.line.append(number + 1)
        made.audio_filepath.append(row.get("audio", f"{number}.wav"))
        made.reference.append(row.get("ref", ""))
        made.hypothesis.append(row.get("hyp", ""))
        made.term.append(row.get("term", ""))
        made.entity_category.append(row.get("category", ""))
        made.ipa_source.append(row.get("ipa", ""))
        made.voice_id.append(row.get("voice", ""))
        made.noise_level.append(row.get("noise", ""))
        made.context_type.append(row.get("context", ""))
    return made


def scored(*given: dict[str, str]) -> ScoredSet:
    """Short rows, scored."""
    return score(rows(*given))


def by_hit(
    hits: Iterable[bool], *, term: str = "cefazolin", start: int = 0, **fields: str
) -> list[dict[str, str]]:
    """Rows in which `term` is heard or not, and nothing else differs."""
    return [
        {
            "audio": f"{start + number}.wav",
            "ref": f"give {term} now",
            "hyp": f"give {term if hit else 'something'} now",
            "term": term,
            **fields,
        }
        for number, hit in enumerate(hits)
    ]


def loop_cycle(number: int) -> ScoredSet:
    """A scored cycle of the closed loop."""
    name = {1: "cycle1/per_sample.json", 2: "cycle2/offline_hyps.jsonl"}[number]
    return score(read_hypotheses(DATA / name))


def loop_held_out() -> frozenset[tuple[str, str]]:
    """Keys of its 50 validation rows."""
    import json

    lines = (DATA / "cycle1" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return frozenset((row["audio_filepath"], row["term"]) for row in map(json.loads, lines))
