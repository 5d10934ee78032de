"""The bytes that call an operator: bell, OSC 9, OSC 777, wrapped inside tmux, safe whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.notices import desktop_notice, in_tmux, notice

PLAIN = "\x1b]9;sft3: finished\x1b\\\x1b]777;notify;sft3;finished\x1b\\"
WRAPPED = (
    "\x1bPtmux;\x1b\x1b]9;sft3: finished\x1b\x1b\\\x1b\\"
    "\x1bPtmux;\x1b\x1b]777;notify;sft3;finished\x1b\x1b\\\x1b\\"
)


@pytest.mark.parametrize(
    ("kind", "tmux", "expected"),
    [
        ("off", False, ""),
        ("bell", False, "\a"),
        ("bell", True, "\a"),
        ("desktop", False, PLAIN + "\a"),
        ("desktop", True, WRAPPED + "\a"),
    ],
)
def test_each_setting_has_its_bytes(kind: str, tmux: bool, expected: str) -> None:
    assert notice(kind, "sft3", "finished", tmux=tmux) == expected


@settings(max_examples=100)
@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_can_end_or_begin_a_sequence(title: str, text: str) -> None:
    sequences = desktop_notice(title, text, tmux=False)
    assert sequences.count("\x1b") == 4
    assert "\a" not in sequences
    fields = sequences.partition("\x1b]777;")[2].removesuffix("\x1b\\")
    assert fields.count(";") == 2
    assert len(sequences) < 4 * 160 + 40


@pytest.mark.parametrize(
    ("tmux", "term", "expected"),
    [("/tmp/t,1,0", "xterm", True), ("", "tmux-256color", True), ("", "screen", True), ("", "xterm", False)],
)
def test_tmux_is_seen_here_and_from_afar(
    monkeypatch: pytest.MonkeyPatch, tmux: str, term: str, expected: bool
) -> None:
    monkeypatch.setenv("TMUX", tmux)
    monkeypatch.setenv("TERM", term)
    assert in_tmux() is expected
