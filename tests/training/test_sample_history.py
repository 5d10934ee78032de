"""What a model heard in a term's place: on the recorded run and on made-up samples."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.sample_history import Heard, Terms, heard_history, manifest_terms
from clinasr_tui.training.snapshot import Sample


def test_the_recorded_run_learns_a_term(recordings: Path) -> None:
    samples = read_run_folder(recordings / "sft3").samples
    history = heard_history(samples, "lumbar puncture")
    assert Heard("lumbar punctury", False, 6, 1) in history
    assert history[-1].right
    assert sum(one.times for one in history) == sum("lumbar puncture" in one.reference for one in samples)


def test_the_terms_of_the_bundled_manifest(demo_data: Path) -> None:
    terms = manifest_terms(demo_data / "cycle1" / "manifest.jsonl")
    assert {"vancomycin", "lumbar puncture", "femoroacetabular impingement"} <= terms.known
    assert terms.find("Severe femoroacetabular impingement, on the left.") == "femoroacetabular impingement"
    assert terms.find("nothing clinical here") == ""
    assert Terms().find("vancomycin") == ""


def test_no_manifest_and_a_broken_one_have_no_terms(tmp_path: Path) -> None:
    broken = tmp_path / "manifest.jsonl"
    broken.write_text("{")
    assert manifest_terms(None) == manifest_terms(broken) == manifest_terms(tmp_path / "none") == Terms()


def test_the_longest_term_is_the_one() -> None:
    terms = Terms.of(["hip", "hip replacement", "Left Hip"])
    assert terms.find("total hip replacement of the left hip") == "hip replacement"


def test_a_dropped_term_and_one_in_pieces() -> None:
    samples = [Sample(3, "hold the vancomycin", text) for text in ("hold the", "hold the vanco mycin")]
    assert heard_history(samples, "vancomycin") == [Heard("", False, 3, 1), Heard("vanco mycin", False, 3, 1)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="abv ⁇-é", max_size=12), max_size=8))
def test_every_sample_of_the_term_is_counted_once(predictions: list[str]) -> None:
    samples = [Sample(at, "ab v ab", text) for at, text in enumerate(predictions)]
    history = heard_history(samples, "v")
    assert sum(one.times for one in history) == len(predictions)
    assert all(one[:2] != other[:2] for one, other in pairwise(history))
