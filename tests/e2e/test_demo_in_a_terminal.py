"""The main job in a real terminal: demo, Watch, the curve moves, Compare, the longer run, quit."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.oracle import audio_of, figures, shown
from tests.support.terminal import Terminal

BRAILLE = re.compile("[\u2801-\u28ff]")


def steps_seen(screen, last=150):
    """The training step the status line shows."""
    found = re.search(rf"step (\d+)/{last}", screen)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def scores(demo_data):
    """KER of all and of the held-out rows as the screens show it, by cycle."""
    names = {1: "cycle1/per_sample.json", 2: "cycle2/offline_hyps.jsonl", 3: "cycle3/offline_hyps.jsonl"}
    held_out = audio_of(demo_data / "cycle1" / "validation.jsonl")
    every = {number: figures(demo_data / name) for number, name in names.items()}
    return {number: (shown(one.ker), shown(one.among(held_out).ker)) for number, one in every.items()}


@pytest.mark.tmux
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (140, 45)])
def test_demo_from_start_to_decision(tmp_path, scores, columns, rows):
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
        decided = terminal.wait_for("cycle 2 base + sft3", "WORSE, not", "KEEP: General speech", seconds=30)
        for figure in (*scores[1], *scores[2]):
            assert figure in decided

        # The longer run begins by itself; the finished one stays in view until another is chosen.
        terminal.press("5")
        terminal.wait_for("(1 of 2)", "watch sft12 (R)", seconds=30)
        terminal.press("]")
        terminal.wait_until(lambda s: 5 < steps_seen(s, 600) < 600, "the longer run under way", 40)
        terminal.press("7")
        decided = terminal.wait_for("cycle 2 base + sft3", "cycle 3", "WORSE, not", seconds=60)
        for figure in (*scores[2], *scores[3]):
            assert figure in decided
        terminal.press("q")
        terminal.wait_for("EXIT=0", seconds=15)
