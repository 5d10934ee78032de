"""Dependence runs one way: stated by contracts, proved in fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "pandas", "asyncssh", "docker", "torch", "jiwer", "soundfile", "rapidfuzz")

HEADLESS = {
    "check": ["check", "{demo}/cycle1/manifest.jsonl"],
    "score": ["score", "{demo}/cycle1", "--json"],
    "gate": ["gate", "{demo}/cycle1", "--json"],
    "split": ["split", "{demo}/cycle1/manifest.jsonl", "--out", "{tmp}"],
    "compare": ["compare", "{demo}/cycle1", "{demo}/cycle2", "--json"],
    "train": ["train", "{demo}/cycle1", "--dry-run", "--json"],
    "watch": ["watch", "{demo}/recordings/sft3", "--once", "--json"],
    "cancel": ["cancel", "{demo}/cycle1", "--yes"],
    "fetch": ["fetch", "{demo}/cycle1"],
    "eval": ["eval", "{demo}/cycle1", "--model", "no-such.nemo"],
    "deploy": ["deploy", "no-such.nemo"],
    "doctor": ["doctor", "--json"],
    "provision": ["provision"],
    "box": ["box", "--json"],
    "stop": ["stop", "no-such-box"],
    "delete": ["delete", "no-such-box", "--yes"],
}
ENDS = {
    "deploy": (2,),
    "cancel": (2,),
    "eval": (2,),
    "fetch": (2,),
    "provision": (2,),
    "stop": (3,),
    "delete": (3,),
}
"""Exit codes of what cannot be done here: without a terminal, without a box."""


def modules_after(code: str) -> set[str]:
    """Names in sys.modules after `code` ran in a fresh interpreter."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


def test_contracts_hold():
    """The import-linter contracts of pyproject.toml are kept."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", HEADLESS)
def test_headless_commands_never_import_textual(name, demo_data, tmp_path):
    argv = [part.format(demo=demo_data, tmp=tmp_path) for part in HEADLESS[name]]
    loaded = modules_after(
        f"import os\nos.environ.update(XDG_STATE_HOME={str(tmp_path)!r}, PATH='')\n"
        f"from clinasr_tui.cli import main\nassert main({argv!r}) in {ENDS.get(name, (0, 1))}"
    )
    assert f"clinasr_tui.commands.{name}" in loaded
    assert not {module for module in loaded if module.split(".")[0] in ("textual", "rich")}
    assert "asyncssh" not in loaded
    assert "docker" not in loaded


def test_every_headless_command_is_proved():
    from clinasr_tui.cli import COMMANDS

    assert set(COMMANDS) - {"demo"} == set(HEADLESS)


@pytest.mark.parametrize("package", ["flywheel", "training", "remote"])
def test_lower_layers_import_no_screen_and_the_pure_ones_no_network(package):
    forbidden = {"textual"} if package == "remote" else {"textual", "rich", "asyncssh", "docker"}
    code = (
        "import importlib, pkgutil\n"
        f"import clinasr_tui.{package} as p\n"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(p.__path__, p.__name__ + '.')]"
    )
    loaded = {module.split(".")[0] for module in modules_after(code)}
    assert not loaded & forbidden


def test_the_app_starts_light():
    """Heavy libraries load in workers, after the first paint."""
    loaded = {module.split(".")[0] for module in modules_after("import clinasr_tui.app")}
    assert "textual" in loaded
    assert not loaded & set(HEAVY)


def test_the_command_line_door_is_light():
    loaded = {module.split(".")[0] for module in modules_after("import clinasr_tui.cli")}
    assert not loaded & {*HEAVY, "textual", "rich"}


def test_files_stay_small():
    """A file over 400 lines wants to become two."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "clinasr_tui").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long
