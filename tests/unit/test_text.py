"""Untrusted text is made safe to show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinasr_tui.errors import HostKeyError, InputError
from clinasr_tui.text import typed_path, visible


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("vancomycin", "vancomycin"),
        ("naïve 日本", "naïve 日本"),
        ("\x1b]0;owned\x07", "␛]0;owned␇"),
        ("a\nb\tc\x7f", "a␊b␉c␡"),
        ("\x9b31m", "\\x9b31m"),
        ("x\u202eyz", "x\\u202eyz"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_become_visible(raw, shown):
    assert visible(raw) == shown


@given(st.text(st.characters()))
def test_nothing_that_moves_a_cursor_survives(text):
    shown = visible(text)
    assert all(character.isprintable() or ord(character) >= 0xA0 for character in shown)
    shown.encode()
    assert visible(shown) == shown


def test_an_error_is_one_line():
    error = InputError("is\nno manifest.", where="a.jsonl:57", remedy="Fix the line")
    assert str(error) == "a.jsonl:57: is no manifest. Fix the line"


def test_a_changed_key_is_told_from_a_first_contact():
    facts = {"where": "h", "remedy": "", "host": "h", "port": 22, "fingerprint": "f", "public_key": "k"}
    assert not HostKeyError("new", **facts).changed
    assert HostKeyError("other", **facts, known=("g",)).changed


def test_a_typed_path_begins_at_home_if_there_is_one(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    assert typed_path("~/a.nemo") == Path("/somebody/a.nemo")
    assert typed_path("~no-such-user-here/a.nemo") == Path("~no-such-user-here/a.nemo")
    assert typed_path(Path("a~")) == Path("a~")
