"""Boxes with the real program: the dialog in a real terminal, the last line on leaving, stop-when-done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinasr_tui.box.record import BoxRecord, begun
from clinasr_tui.box.state import BoxBook
from clinasr_tui.flywheel.cost import Offer, PriceSource
from tests.support.brev import FakeBrev
from tests.support.fake_brev import L40S
from tests.support.sshd import Sshd
from tests.support.terminal import Terminal

NAME = "digital-health-clinical-asr-sft"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def brev(tmp_path):
    return FakeBrev(tmp_path / "brev")


@pytest.fixture
def env(brev, tmp_path):
    (tmp_path / "home").mkdir()
    return {
        "PATH": brev.path,
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def book(tmp_path):
    return BoxBook(tmp_path / "state" / "clinasr-tui")


# --- the app in a terminal ------------------------------------------------------------------------------


@pytest.mark.tmux
@pytest.mark.timeout(120)
def test_pastes_replays_and_held_keys_rent_nothing_and_the_typed_word_does(brev, env, tmp_path, demo_data):
    shutil.copytree(demo_data / "cycle1", tmp_path / "ws" / "cycle1", ignore=shutil.ignore_patterns("audio"))
    words = [f"{key}={value}" for key, value in env.items()]
    argv = ["env", *words, sys.executable, "-m", "clinasr_tui", str(tmp_path / "ws")]
    with Terminal(argv, name="box", columns=80, rows=24) as terminal:
        terminal.wait_for("Next")
        terminal.press("4")
        terminal.wait_for("$1.06/h")

        def at_the_prompt():
            terminal.press("Enter")
            shown = terminal.wait_for("Type YES to provision")
            time.sleep(0.6)
            return shown

        def declined():
            terminal.wait_until(
                lambda s: "no GPU instance was created" in " ".join(s.split()) and "This will start" not in s,
                "cancelled",
            )
            assert brev.ran("create") == []

        shown = at_the_prompt()
        for said in ("$1.06 per hour (live offer", "a night $25", "a week $178", "only deleted"):
            assert said in shown
        terminal.press("Enter")
        declined()

        at_the_prompt()
        terminal._tmux("set-buffer", "YES")
        terminal._tmux("paste-buffer", "-p")
        terminal.wait_for("pasted text is no answer")
        terminal.press("Enter")
        declined()

        at_the_prompt()
        terminal._tmux("set-buffer", "YES\n")
        terminal._tmux("paste-buffer")  # a terminal that does not mark pastes
        declined()

        at_the_prompt()
        terminal.press("y", "e", "s", "Enter")
        declined()

        at_the_prompt()
        for key in ("Y", "E", "S"):
            terminal.press(key)
            time.sleep(0.1)
        terminal.wait_for("cancels: YES")
        terminal.press("Enter")
        terminal.wait_for("/h", "so far", NAME)
        limit = time.monotonic() + 10
        while not brev.boxes:
            assert time.monotonic() < limit
            time.sleep(0.1)
        assert [(box["name"], box["type"]) for box in brev.boxes] == [(NAME, L40S["type"])]

        terminal.press("q")
        last = terminal.wait_for("EXIT=0", "bills on", seconds=15)
        assert f"clinasr-tui delete {NAME}" in last.replace("\n", "")


# --- watch --stop-when-done -------------------------------------------------------------------------------


@pytest.fixture
def lab(brev, book, tmp_path):
    """A rented box named `lab` that answers on a real sshd."""
    offer = Offer("g5.xlarge", "A10G", 1, 24, 200, 1.2, PriceSource.LIVE, time.time(), stoppable=True)
    book.put(begun(BoxRecord("lab", offer, "c", asked_at=time.time() - 600)))
    brev.add_box("lab")
    with Sshd(tmp_path / "sshd") as server:
        server.trust()
        yield server


def watch(env, lab, folder, *options, host="lab"):
    argv = [sys.executable, "-m", "clinasr_tui", "watch", str(folder), "--host", host, *options]
    places = ["--ssh-config", str(lab.config), "--known-hosts", str(lab.known_hosts)]
    pipe = subprocess.PIPE
    return subprocess.Popen([*argv, *places], stdout=pipe, stderr=pipe, text=True, env={**os.environ, **env})


@pytest.mark.sshd
def test_the_box_is_stopped_when_its_run_is_over(brev, env, lab, book, recordings):
    out, err = (process := watch(env, lab, recordings / "sft3", "--stop-when-done")).communicate(timeout=60)
    assert process.returncode == 0, err
    assert "nobody stops the box" in err
    assert "lab is stopped: its disk costs $20 a month" in err
    assert "finished" in out
    assert brev.boxes[0]["status"] == "STOPPED"
    assert not book.find("lab").bills


@pytest.mark.sshd
def test_it_is_told_when_the_box_was_not_stopped(brev, env, lab, recordings):
    brev.set(fails={"stop": "rpc error"})
    process = watch(env, lab, recordings / "sft3", "--stop-when-done")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "lab was not stopped and bills on" in err


@pytest.mark.sshd
def test_leaving_before_the_end_stops_nothing_and_says_so(brev, env, lab, tmp_path, recordings):
    folder = tmp_path / "run"
    folder.mkdir()
    text = (recordings / "sft3" / "console.log").read_bytes()
    (folder / "console.log").write_bytes(text[: len(text) // 2])
    process = watch(env, lab, folder, "--stop-when-done", "--json", "--follow")
    json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "lab is NOT stopped" in err
    assert brev.ran("stop") == []


@pytest.mark.sshd
@pytest.mark.parametrize(
    ("options", "host", "said"),
    [
        (["--stop-when-done"], "my-own", "no box rented from here"),
        (["--stop-when-done", "--once"], "lab", "--once does not wait"),
    ],
)
def test_what_cannot_be_stopped_is_refused_at_once(env, lab, recordings, options, host, said):
    process = watch(env, lab, recordings / "sft3", *options, host=host)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said in err
