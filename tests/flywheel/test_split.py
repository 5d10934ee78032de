"""The published split, byte for byte, and its rules at the edges."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.manifest import ManifestRow, parse_row, read_manifest
from clinasr_tui.flywheel.split import split_rows, write_split


def rows_of(categories: list[str]) -> list[ManifestRow]:
    return [
        parse_row(
            json.dumps({"audio_filepath": f"{n}.wav", "text": "t", "entity_category": category}).encode(),
            path=Path("m"),
            line=n,
        )
        for n, category in enumerate(categories, 1)
    ]


def published(categories: list[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """The published sketch on line numbers, with the module's own generator."""
    random.seed(seed)
    groups: dict[str, list[int]] = {}
    for line, category in enumerate(categories, 1):
        groups.setdefault(category, []).append(line)
    train: list[int] = []
    validation: list[int] = []
    for lines in groups.values():
        random.shuffle(lines)
        if len(lines) < 2:
            train += lines
            continue
        held_out = max(1, int(fraction * len(lines)))
        validation += lines[:held_out]
        train += lines[held_out:]
    return train, validation


def test_reproduces_the_real_split_byte_for_byte(closed_loop: Path, tmp_path: Path) -> None:
    cycle = closed_loop / "cycle1"
    split = split_rows(read_manifest(cycle / "manifest.jsonl"), priority=("drug",))
    assert (len(split.train), len(split.validation), split.warnings) == (200, 50, ())
    assert split.by_category == {
        "drug": (72, 18),
        "procedure": (32, 8),
        "anatomy": (24, 6),
        "condition": (24, 6),
        "lab": (24, 6),
        "role": (24, 6),
    }
    train, validation = write_split(split, tmp_path / "new" / "folder")
    assert train.read_bytes() == (cycle / "train.jsonl").read_bytes()
    assert validation.read_bytes() == (cycle / "validation.jsonl").read_bytes()
    assert sorted(path.name for path in train.parent.iterdir()) == ["train.jsonl", "validation.jsonl"]


def test_another_seed_splits_otherwise(demo_data: Path) -> None:
    rows = read_manifest(demo_data / "cycle1" / "manifest.jsonl")
    assert split_rows(rows, seed=43).validation != split_rows(rows).validation


@settings(max_examples=80, deadline=None)
@given(
    categories=st.lists(st.sampled_from(["drug", "lab", "", "role"]), max_size=40),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_matches_the_published_sketch(categories: list[str], fraction: float, seed: int) -> None:
    split = split_rows(rows_of(categories), validation_fraction=fraction, seed=seed)
    train, validation = published(categories, fraction, seed)
    assert [row.line for row in split.train] == train
    assert [row.line for row in split.validation] == validation
    assert sorted(train + validation) == list(range(1, len(categories) + 1))


def test_a_single_row_goes_to_train_with_a_warning() -> None:
    split = split_rows(rows_of(["lab", "drug", "drug", ""]))
    assert split.by_category == {"lab": (1, 0), "drug": (1, 1), "": (1, 0)}
    assert split.warnings == (
        "lab has 1 row: it goes to train and the category is not validated",
        "(no category) has 1 row: it goes to train and the category is not validated",
    )
    assert "there is no validation row" in split_rows(rows_of(["lab"])).warnings[-1]


@pytest.mark.parametrize(("count", "says"), [(0, "has 0 rows"), (1, "has 1 row,"), (4, "has 4 rows")])
def test_too_few_priority_rows_are_refused(count: int, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        split_rows(rows_of(["lab"] * 9 + ["drug"] * count), priority=("lab", "drug"))
    assert "build" in str(caught.value)
    assert split_rows(rows_of(["drug"] * 5), priority=("drug",)).by_category == {"drug": (4, 1)}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 2.0, float("nan")])
def test_a_fraction_outside_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="not between 0 and 1"):
        split_rows(rows_of(["drug"] * 5), validation_fraction=fraction)


def test_rows_keep_their_bytes(tmp_path: Path) -> None:
    raw = '{"audio_filepath":"a.wav",  "text": "caf\u00e9", "x": 1e2}'.encode()
    rows = [parse_row(b"\xef\xbb\xbf" + raw, path=Path("m"), line=1), parse_row(raw, path=Path("m"), line=2)]
    train, validation = write_split(split_rows(rows), tmp_path)
    assert train.read_bytes() == validation.read_bytes() == raw + b"\n"


def test_never_overwrites_its_own_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "train.jsonl"
    manifest.write_bytes(b"{}\n")
    with pytest.raises(InputError, match="would overwrite its own manifest"):
        write_split(split_rows(rows_of(["lab"] * 4)), tmp_path, manifest=manifest)
    assert manifest.read_bytes() == b"{}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_both_files_or_neither(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_split(split_rows(rows_of(["lab"] * 4)), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
