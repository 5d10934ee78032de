"""Prompts for consent on a real terminal: the word is read key by key, a paste or a pipe is no answer."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from clinasr_tui.box.consent import NOTHING_CREATED, WORD, Consent, TypedWord
from clinasr_tui.commands.output import note
from clinasr_tui.errors import InputError
from clinasr_tui.typed_word import KeyedWord

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer

_STDIN, _STDERR = 0, 2
_PASTES_MARKED, _PASTES_PLAIN = b"\x1b[?2004h", b"\x1b[?2004l"
_ESCAPE = 0x1B
T = TypeVar("T")


def is_terminal() -> bool:
    """True if there is a terminal to ask on and to read the answer from."""
    return os.isatty(_STDIN) and os.isatty(_STDERR)


def require_terminal() -> None:
    """Consent is typed at a terminal. Raises InputError before anything else happens."""
    if not is_terminal():
        raise InputError(
            f"consent must be typed at a terminal, and standard input or error is none: {NOTHING_CREATED}",
            remedy="Run it in a terminal; no flag, variable or pipe can stand in for the typed word",
        )


def ask(
    name: str, offer: Offer, lines: Sequence[str], *, action: str = "create", stop_when_done: bool = False
) -> Consent | None:
    """Show what it costs and read the answer; None unless exactly YES was typed."""
    require_terminal()
    for line in lines:
        note(f"  {line}")
    verb = "provision" if action == "create" else "start it"
    word = TypedWord(name, offer, door="terminal", action=action)
    word.stop_when_done = stop_when_done
    return _answer(word, f"Type {WORD} to {verb}, anything else cancels: ", word.enter) or None


def ask_word(wanted: str, purpose: str) -> bool:
    """True if exactly `wanted` was typed at the terminal, key by key."""
    word = KeyedWord(wanted)
    return _answer(word, f"Type {wanted} {purpose}, anything else cancels: ", word.is_typed) or False


def _answer(word: KeyedWord, prompt: str, enter: Callable[[], T]) -> T | None:
    """What `enter` says once Enter was pressed; None if the prompt was left otherwise."""
    with _key_by_key():
        _show(prompt)
        # What was typed ahead of the prompt is no answer to it.
        termios.tcflush(_STDIN, termios.TCIFLUSH)
        word.shown()
        try:
            answer = _read(word, enter)
        except KeyboardInterrupt:
            answer = None
        _show("\r\n")
    if not answer and word.spoiled:
        note(f"  {word.spoiled}")
    return answer


def _read(word: KeyedWord, enter: Callable[[], T]) -> T | None:
    while True:
        chunk = os.read(_STDIN, 4096)
        if not chunk or chunk[0] == 4:  # end of file, Ctrl-D
            return None
        early = word.is_early()
        text = chunk.decode("utf-8", "replace")
        if chunk[0] == _ESCAPE:
            if not early:
                word.paste() if b"[200~" in chunk else None
                return None
        elif text in ("\r", "\n"):
            if not early:
                return enter()
        elif text in ("\x7f", "\x08"):
            word.backspace()
            _show("" if early else "\b \b")
        else:
            word.key(text)
            _show("" if early else "".join(one for one in text if one.isprintable()))
            if word.spoiled:
                return None


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def _key_by_key() -> Iterator[None]:
    """Keys one by one without echo, pastes marked as such by the terminal; all as before at the end."""
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setcbreak(_STDIN, termios.TCSAFLUSH)
        os.write(_STDERR, _PASTES_MARKED)
        yield
    finally:
        os.write(_STDERR, _PASTES_PLAIN)
        # What was pasted after the first line must not reach the shell as commands.
        termios.tcsetattr(_STDIN, termios.TCSAFLUSH, before)
