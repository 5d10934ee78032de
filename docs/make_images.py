"""Take the README's pictures from the real app on the bundled cycle: `python docs/make_images.py`."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path

from clinasr_tui.app import ClinasrApp
from clinasr_tui.demo.replay import schedule
from clinasr_tui.flywheel.workspace import open_workspace

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "clinasr_tui" / "demo" / "data"
IMAGES = ROOT / "docs" / "images"
# A picture in a README fetches nothing: the reader's own monospace font does.
FONT_FACE = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
PICTURES = {"watch": "5", "compare": "7"}


def workspace(folder: Path) -> Path:
    """Both cycles, and the recorded run as a run of this machine."""
    root = folder / "espeak-demo"
    for cycle in ("cycle1", "cycle2"):
        shutil.copytree(DATA / cycle, root / cycle, ignore=shutil.ignore_patterns("audio"))
    (root / "cycle1" / "audio").symlink_to(DATA / "cycle1" / "audio")
    run = root / "cycle1" / "models" / "sft3"
    recorded(DATA / "recordings" / "sft3", run / "files")
    info = {"run": "sft3", "host": None, "run_dir": str(run / "files")}
    (run / "training_run_info.json").write_text(json.dumps(info))
    return root


def recorded(recording: Path, folder: Path) -> None:
    """The run's folder with both streams in one file, in the order in which they came."""
    shutil.copytree(recording / "run", folder / "run")
    streams = {name: (recording / name).read_bytes() for name in ("stdout.log", "stderr.log")}
    read = dict.fromkeys(streams, 0)
    with (folder / "console.log").open("wb") as console:
        for piece in schedule(recording):
            if piece.file in streams:
                console.write(streams[piece.file][read[piece.file] : piece.end])
                read[piece.file] = piece.end


async def main() -> None:
    """Open each screen, wait until it stands still, save it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        app = ClinasrApp(open_workspace(workspace(Path(folder))))
        async with app.run_test(size=(140, 40)) as pilot:
            for name, key in PICTURES.items():
                await pilot.press(key)
                await asyncio.sleep(5)
                await pilot.pause()
                picture = app.export_screenshot(title="clinasr-tui")
                (IMAGES / f"{name}.svg").write_text(FONT_FACE.sub("", picture))


if __name__ == "__main__":
    asyncio.run(main())
