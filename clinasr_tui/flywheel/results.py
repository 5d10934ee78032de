"""`results.csv`: the transcribed rows with their scores (method, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.flywheel.files import write_atomically
from clinasr_tui.flywheel.scoring import NO_KER
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.flywheel.scoring import ScoredSet


def write_results(scored: ScoredSet, path: Path) -> None:
    """Write one line a row, input order; `ker` is empty where the row has no term. Raises InputError.

    Columns: audio_filepath, ref, hyp, the clinical fields, wer, cer, ker, ser. Scores are written so
    that reading them gives the very same numbers. UTF-8; a lone surrogate becomes `\\udXXX`.
    """
    import numpy as np
    import pandas as pd

    rows, scores = scored.hypotheses, scored.scores
    ker = np.asarray(scores.ker)
    frame = pd.DataFrame(
        {
            "audio_filepath": rows.audio_filepath,
            "ref": rows.reference,
            "hyp": rows.hypothesis,
            **{name: rows.column(name) for name in CLINICAL_FIELDS},
            "wer": np.asarray(scores.word_errors) / np.maximum(scores.reference_words, 1),
            "cer": np.asarray(scores.char_errors) / np.maximum(scores.reference_chars, 1),
            "ker": pd.Series(ker, dtype="Int8").mask(ker == NO_KER),
            "ser": np.asarray(scores.ser),
        },
    )
    text = frame.to_csv(index=False, lineterminator="\n")
    write_atomically(path, text.encode("utf-8", errors="backslashreplace"))
