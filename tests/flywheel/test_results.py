"""results.csv holds every row and its exact scores."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.results import write_results
from tests.support.scored_rows import loop_cycle, scored

COLUMNS = (
    "audio_filepath,ref,hyp,term,entity_category,ipa_source,voice_id,noise_level,context_type,wer,cer,ker,ser"
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_closed_loop_comes_back_exactly(tmp_path: Path) -> None:
    found = loop_cycle(1)
    path = tmp_path / "results.csv"
    write_results(found, path)
    assert path.read_text(encoding="utf-8").split("\n", 1)[0] == COLUMNS
    lines = read(path)
    assert len(lines) == 250
    for index, line in enumerate(lines):
        row, figures = found.hypotheses.row(index), found.scores.row(index)
        assert (line["ref"], line["hyp"], line["term"]) == (row.reference, row.hypothesis, row.term)
        assert (float(line["wer"]), float(line["cer"])) == (figures.wer, figures.cer)
        assert (int(line["ker"]), int(line["ser"])) == (figures.ker, figures.ser)
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_odd_rows(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    odd = 'a "quoted", text\nwith\r\ta \u5fc3'
    write_results(scored({"ref": odd, "hyp": "NA", "term": ""}, {"ref": "\ud800", "term": "x"}), path)
    first, second = read(path)
    assert first["ref"] == odd
    assert (first["hyp"], first["ker"], first["ser"]) == ("NA", "", "1")
    assert (second["ref"], second["ker"]) == ("\\ud800", "1")


def test_no_rows(tmp_path: Path) -> None:
    write_results(scored(), tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_text(encoding="utf-8") == COLUMNS + "\n"


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_results(scored({"ref": "a"}), tmp_path / "results.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]
