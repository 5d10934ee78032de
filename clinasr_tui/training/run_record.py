"""What a run's record says that its files can be held against: the rows of its manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

MAX_BYTES = 1 << 22


class Expected(NamedTuple):
    """Rows of the manifests the run was started with; None where the record does not say."""

    train: int | None = None
    validation: int | None = None


def expected(info: Mapping[str, object]) -> Expected:
    """The rows a parsed `training_run_info.json` names under `data` (`train_rows`, `validation_rows`)."""
    data = info.get("data")
    rows = data if isinstance(data, Mapping) else {}
    return Expected(_count(rows.get("train_rows")), _count(rows.get("validation_rows")))


def parse_expected(text: bytes | bytearray) -> Expected:
    """The same from the file's bytes; nothing while they are incomplete."""
    try:
        info = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Expected()
    return expected(info) if isinstance(info, dict) else Expected()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
