"""What is required stands once: in pyproject.toml. What tells of it elsewhere agrees."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

from clinasr_tui.nemo_side import NEMO_INSTALL

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_command_that_is_told_installs_the_extra() -> None:
    assert shlex.split(NEMO_INSTALL) == ["pip", "install", *PROJECT["optional-dependencies"]["nemo"]]


def test_each_dependency_has_its_reason() -> None:
    page = (ROOT / "docs/architecture.md").read_text().split("## Dependencies, each with its reason")[1]
    told = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| "))
    every = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["nemo"]]
    names = {re.split(r"[\[<>=]", one)[0] for one in every}
    assert names - set(re.findall(r"[a-z0-9_]+", told)) == set()


def test_nobody_is_told_to_install_us_from_a_registry() -> None:
    told = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "clinasr_tui").rglob("*.py")]
    for path in (*told, *(ROOT / "examples").rglob("*.md"), *(ROOT / "examples").rglob("*.sh")):
        assert not re.search(r"pip install .?clinasr", path.read_text()), path
