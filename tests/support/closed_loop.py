"""The script of examples/closed_loop on stand-ins: no voice, no NeMo, no GPU, but the product's own commands.

Stand-ins are espeak-ng (it says one tone), soxr (it drops samples), NeMo and torch (`stand_in_asr`), base
training (it copies a file) and the stock script (`stand_in_nemo` plays a recorded run). Everything else is
real: the script, the synthesis around the voice, and each command of clinasr-tui.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import wave
from contextlib import suppress
from pathlib import Path

from tests.support import stand_in_nemo
from tests.support.evaluating import ROOT, STAND_IN, model, said_by

SCRIPT = ROOT / "examples/closed_loop/run.sh"
BASE_ROWS, GENERAL_ROWS = 301, 20
_PATIENCE = 120.0
"""Seconds; more than enough on a slow machine."""
_WORDS = "apple bench cloud dough eagle flame grape house igloo jolly knife lemon mango nylon ocean piano"
_SOXR = '''\
"""Stands in for soxr: it is not soxr. It takes the nearest sample before, without a filter."""

import numpy as np


def resample(sound, rate, wanted):
    return sound[np.arange(len(sound) * wanted // rate) * rate // wanted]
'''
_PYTHON = """\
#!/bin/sh
# Stands in for a Python with NeMo. Training the base is copying a file that stands in for it.
case "$1" in
*/train_base.py) echo trained >>"{here}/bases"; exec cp "{here}/base.nemo" "$3" ;;
*/synthesise.py) set -- "$@" --general-rows {general} ;;
esac
PYTHONPATH="{stand_in}:{here}/lib" exec "{python}" "$@"
"""


class ClosedLoop:
    """A workspace the script is started for, and all that it finds; with spaces and quotes in its path."""

    def __init__(self, folder: Path, demo_data: Path, recordings: Path) -> None:
        self.folder, self.workspace = folder, folder / 'my "closed" loop'
        self.bin, lib = folder / "bin", folder / "lib"
        self.nemo, self.holds = folder / "NeMo", folder / "holds"
        self.scripts: list[subprocess.Popen[str]] = []
        for one in (self.bin, lib, self.holds, self.nemo / "examples/asr"):
            one.mkdir(parents=True)
        shutil.copy(stand_in_nemo.__file__, self.nemo / "examples/asr/speech_to_text_finetune.py")
        (lib / "soxr.py").write_text(_SOXR)
        _tone(folder / "tone.wav")
        self.program("espeak-ng", f'#!/bin/sh\nexec cat "{folder}/tone.wav"\n')
        product = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m clinasr_tui "$@"\n'
        self.program("clinasr-tui", product)
        self.program(
            "python",
            _PYTHON.format(here=folder, stand_in=STAND_IN, python=sys.executable, general=GENERAL_ROWS),
        )
        (folder / "words").write_text("\n".join(_WORDS.split()))
        general = {f"{BASE_ROWS + number}.flac": "what was said" for number in range(GENERAL_ROWS)}
        model(folder / "base.nemo", said_by(demo_data, "cycle1/per_sample.json") | general)
        model(folder / "tuned.nemo", said_by(demo_data, "cycle2/offline_hyps.jsonl") | general)
        self.env = {
            **os.environ,
            "HOME": str(folder / "home"),
            "XDG_STATE_HOME": str(folder / "state"),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHON": str(self.bin / "python"),
            "WORDS": str(folder / "words"),
            "NEMO_ROOT": str(self.nemo),
            "BASE_ROWS": str(BASE_ROWS),
            "STAND_IN_RECORDINGS": str(recordings),
            "STAND_IN_MODEL": str(folder / "tuned.nemo"),
            "STAND_IN_HOLDS": str(self.holds),
        }

    def end(self) -> None:
        """Leave nothing running: a run that was held goes on to its end."""
        for hold in self.holds.iterdir():
            hold.unlink()
        for script in self.scripts:
            if script.poll() is None:
                cut_off(script)

    def program(self, name: str, text: str) -> None:
        """Put a program where the script finds it first."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def begin(self, **env: str) -> subprocess.Popen[str]:
        """Start the script, in a session of its own."""
        script = subprocess.Popen(
            ["bash", str(SCRIPT), str(self.workspace)],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.scripts.append(script)
        return script

    def run(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Start the script and wait for its end."""
        script = self.begin(**env)
        out, err = script.communicate(timeout=_PATIENCE)
        return subprocess.CompletedProcess(script.args, script.returncode, out, err)

    def run_folder(self, run: str) -> Path:
        """Where a run is on its machine, which is this one."""
        return self.workspace / "root/espeak-demo/runs" / run

    def held(self, run: str) -> subprocess.Popen[str]:
        """Start the script and wait until the run is half-way, where it stays until it is let go."""
        (self.holds / run).touch()
        script = self.begin()
        limit = time.monotonic() + _PATIENCE
        while not any(one.stat().st_size for one in self.run_folder(run).glob("run/events.*")):
            assert script.poll() is None, script.communicate()
            assert time.monotonic() < limit, "the run never began"
            time.sleep(0.05)
        return script

    def let_go(self, run: str) -> None:
        """Let a run that was held go on."""
        (self.holds / run).unlink()

    def end_run(self, run: str) -> None:
        """End a run without a word, as a machine does that loses its power."""
        for name in ("pid.json", "child.json"):
            with suppress(ProcessLookupError):
                os.kill(json.loads((self.run_folder(run) / name).read_text())["pid"], signal.SIGKILL)


def cut_off(script: subprocess.Popen[str]) -> None:
    """End the script and what it waits for; a run that it has launched goes on."""
    os.killpg(script.pid, signal.SIGKILL)
    script.communicate()


def _tone(path: Path) -> None:
    """Half a second as espeak-ng gives it: 16 bits, mono, 22,050 Hz."""
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(22_050)
        samples = (int(9000 * math.sin(at / 20)) for at in range(11_025))
        stream.writeframes(b"".join(struct.pack("<h", one) for one in samples))
