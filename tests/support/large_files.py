"""Small files of transcripts read as large ones: in parts, their texts left in the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clinasr_tui.flywheel import parallel, score_file, transcript_blocks


def in_turn(
    function: Any, parts: list[tuple[Any, ...]], *, progress: Any, work: str, meanwhile: Any = None
) -> list[Any]:
    return [function(*part, progress=progress) for part in parts]


@contextmanager
def large(parts: int, *, block: int | None = None) -> Iterator[None]:
    """Files of any size are large, of so many parts; done in turn here where `block` sets a block's size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_file, "LARGE_BYTES", 1)
        patch.setattr(score_file, "_LEAST_PART", 1)
        patch.setattr(parallel, "processes", lambda: parts)
        if block is not None:
            patch.setattr(transcript_blocks, "BLOCK_BYTES", block)
            patch.setattr(parallel, "run_parts", in_turn)
        yield
