"""The main job in a real terminal: demo, Watch, the curve moves, Compare, quit."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.terminal import Terminal

BRAILLE = re.compile("[\u2801-\u28ff]")


def steps_seen(screen):
    """The training step the status line shows."""
    found = re.search(r"step (\d+)/150", screen)
    return int(found[1]) if found else 0


@pytest.mark.tmux
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (140, 45)])
def test_demo_from_start_to_decision(tmp_path, columns, rows):
    argv = [sys.executable, "-m", "clinasr_tui", "demo", "--speed", "6", "--dir", str(tmp_path / "demo")]
    with Terminal(argv, name=f"demo{columns}", columns=columns, rows=rows) as terminal:
        terminal.wait_for("Cycles", "Next")
        terminal.press("5")
        # The box's key is new to this operator: nothing streams before it is confirmed.
        dialog = terminal.wait_for("SHA256:")
        fingerprint = (tmp_path / "demo" / ".box" / "fingerprint.txt").read_text().strip()
        assert fingerprint[:30] in dialog.replace("\n", "")
        terminal.press("t")

        early = terminal.wait_until(lambda s: 5 < steps_seen(s) < 150, "training under way", 40)
        later = terminal.wait_until(lambda s: steps_seen(s) > steps_seen(early) + 20, "the run goes on", 40)
        assert BRAILLE.findall(early) != BRAILLE.findall(later), "the loss curve stands still"
        terminal.wait_for("finished", seconds=60)

        terminal.press("7")
        decided = terminal.wait_for("Keep the model", seconds=30)
        for figure in (".876", ".144", ".820", ".280"):
            assert figure in decided
        terminal.press("q")
        terminal.wait_for("EXIT=0", seconds=15)
