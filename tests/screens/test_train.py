"""Train: the form and its reasons, refusals, the machine, the override dialog, a launch as it goes."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path

import pytest

from clinasr_tui import typed_word
from clinasr_tui.app import READONLY, ClinasrApp
from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.recipe import Gpu
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.flow import Progress, Step
from clinasr_tui.launch.machine import Machine, Site
from clinasr_tui.launch.places import DEFAULT_ROOT
from clinasr_tui.launch_desk import Launching, Order, RunWork
from clinasr_tui.messages import LaunchChanged
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.screens.pick_dialog import PickDialog
from clinasr_tui.screens.smoke_dialog import SmokeDialog
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt
from tests.support import nemo_models
from tests.support.driving import lines_of, press, settle, text_of
from tests.support.nemo_models import put_model

# The docker library leaves the socket of an engine that does not answer to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

L40S = Machine(
    name="gpu1",
    gpus=(Gpu("NVIDIA L40S", 46068, (8, 9)),),
    gpu_trouble="",
    driver="550.54",
    docker="ok",
    disk_free=180_000_000_000,
    disk_total=200_000_000_000,
    folder="/home/ubuntu/clinasr",
    memory=64_000_000_000,
    cpus=8,
    python="3.10.12",
    uid=1000,
    gid=1000,
)


@pytest.fixture
def app(two_cycles: Path) -> ClinasrApp:
    """A workspace whose ssh config knows one host, so that nobody's own hosts are shown."""
    (two_cycles / "ssh_config").write_text("Host gpu1 *.lab\n  HostName 192.0.2.1\n")
    (two_cycles / "clinasr.toml").write_text('[ssh]\nconfig = "ssh_config"\n')
    return ClinasrApp(open_workspace(two_cycles))


@pytest.fixture
def blocked(app: ClinasrApp, two_cycles: Path, monkeypatch: pytest.MonkeyPatch) -> ClinasrApp:
    """The same under a gate that asks for more rows than there are."""
    monkeypatch.setattr(typed_word, "SETTLE_SECONDS", 0.02)
    with (two_cycles / "clinasr.toml").open("a") as stream:
        stream.write("[gate]\nmin_rows = 1000\n")
    return ClinasrApp(open_workspace(two_cycles))


async def opened(pilot, *keys):
    await settle(pilot)
    await press(pilot, "9", *keys)
    return pilot.app.screen


def at(screen, name):
    screen.query_one("#fields", LineList).move_to(name)


def seen(app, host, machine):
    """The machine as if it had been looked at, for what runs there by default."""
    app.session.launches.machines[Site(host, DEFAULT_ROOT, DOCKER_SOCKET)] = machine
    app.post_message(LaunchChanged())


def problem(app):
    return app.screen.query_one("#problem").text


async def test_what_is_to_be_known_before_a_launch(app):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await opened(pilot)
        shown = text_of(screen, "#facts")
        assert "cycle 1 · 200 rows to train on · gate ✔ pass" in shown
        assert "nvidia/parakeet-tdt-0.6b-v2  ✔ Verified" in shown
        assert "150 steps" in shown
        command = text_of(screen, "#command")
        assert "+init_from_pretrained_model=nvidia/parakeet-tdt-0.6b-v2" in command
        assert "trainer.precision=bf16-mixed" in command
        assert "bf16-mixed keeps TDT stable" in text_of(screen, "#why")


async def test_a_base_of_a_file_is_judged_by_what_is_in_it(app, tmp_path):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await opened(pilot)
        screen._set("base", str(put_model(tmp_path / "ours.nemo", nemo_models.CTC)))
        await settle(pilot)
        assert "base ours.nemo  ○ Not verified here" in text_of(screen, "#facts")
        at(screen, "base")
        await settle(pilot)
        assert "It is CTC, 256 tokens" in text_of(screen, "#why")
        screen._set("cpu", True)
        assert screen._draft.objections() == ()
        screen._set("base", str(put_model(tmp_path / "of_ours.nemo", nemo_models.TDT)))
        await settle(pilot)
        assert "refused: device: this base has a TDT loss" in text_of(screen, "#why")
        await press(pilot, "l")
        assert app.session.launches.launching is None
        assert "TDT loss" in problem(app)
        screen._set("base", str(put_model(tmp_path / "parakeet-ctc.nemo", nemo_models.STREAMING)))
        await settle(pilot)
        assert "✖ refused: Refused by what is in the file" in text_of(screen, "#facts")


async def test_settings_change_by_arrows_list_and_typing_and_are_taken_back(app):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await opened(pilot)
        at(screen, "batch_size")
        await press(pilot, "right", "right")
        assert screen._draft.recipe.batch_size == 16
        assert "39 steps" in text_of(screen, "#facts")
        assert "Set by you; proposed is 4" in text_of(screen, "#why")
        await press(pilot, "backspace")
        assert screen._draft.recipe.batch_size == 4
        at(screen, "precision")
        await press(pilot, "enter")
        assert isinstance(app.screen, PickDialog)
        await press(pilot, "down", "enter")
        assert screen._draft.recipe.precision == "32"
        at(screen, "lr")
        await press(pilot, "enter")
        prompt = screen.query_one(Prompt)
        assert prompt.value == "3e-4"
        prompt.value = "fast"
        await press(pilot, "enter")
        assert prompt.problem.endswith("a number, for example 3e-4")
        prompt.value = "5e-3"
        await press(pilot, "enter")
        assert "▲ above 1e-3 the model risks forgetting" in text_of(screen, "#why")
        assert "trainer.precision=32" in text_of(screen, "#command")
        await press(pilot, "n")
        assert dict(screen._draft.choices.settings) == {}


async def test_what_the_method_refuses_cannot_be_launched(app):
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        at(screen, "base")
        await press(pilot, "enter")
        screen.query_one(Prompt).value = "nvidia/nemotron-speech-streaming-en-0.6b"
        await press(pilot, "enter")
        assert "✖ refused: SFT of a cache" in text_of(screen, "#facts")
        await press(pilot, "l")
        assert "is refused" in problem(app)
        assert app.session.launches.launching is None
        at(screen, "base")
        await press(pilot, "backspace")
        at(screen, "max_epochs")
        await press(pilot, "enter")
        screen.query_one(Prompt).value = "0"
        await press(pilot, "enter", "l")
        assert problem(app).startswith("refused: epochs is a whole number of at least 1")


async def test_the_machine_decides_what_is_proposed_and_what_is_missing(app):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await opened(pilot)
        at(screen, "host")
        await press(pilot, "right")
        assert screen._draft.host == "gpu1"
        seen(app, "gpu1", L40S)
        await settle(pilot)
        assert screen._draft.recipe.batch_size == 16
        assert "NVIDIA L40S 45 GB (compute 8.9) · 180 GB free · Docker ok" in text_of(screen, "#facts")
        assert any("batch size" in line and "GPU" in line for line in lines_of(screen.query_one("#fields")))
        seen(app, "gpu1", Machine(**{**_dict(L40S), "docker": "denied", "disk_free": 9_000_000_000}))
        await settle(pilot)
        shown = text_of(screen, "#facts")
        assert "✖ /var/run/docker.sock does not let this account in → Add it to the group docker" in shown
        assert "▲ 9 GB of disk left" in shown
        await press(pilot, "l")
        assert "does not let this account in" in problem(app)


def _dict(machine):
    return {name: getattr(machine, name) for name in Machine.__slots__}


async def test_an_unsplit_cycle_says_what_to_do(two_cycles):
    (two_cycles / "cycle1/train.jsonl").unlink()
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "not split yet" in problem(app)
        await press(pilot, "l")
        assert "clinasr-tui split" in problem(app)


async def test_only_smoke_typed_key_by_key_opens_a_blocked_gate(blocked, monkeypatch):
    launched = []
    monkeypatch.setattr(blocked.session.launches, "launch", launched.append)
    async with blocked.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert "gate ✖ blocked: Rows in total" in text_of(screen, "#facts")
        for keys in (["enter"], ["y", "enter"], [*"smoke", "enter"], [*"SMOKE ", "enter"], ["escape"]):
            await press(pilot, "l")
            assert isinstance(blocked.screen, SmokeDialog)
            await _slowly(pilot, keys)
            assert "nothing was sent or started" in problem(blocked)
            assert not launched
        await press(pilot, "l")
        await _slowly(pilot, [*"SMOKE", "enter"])
        assert launched[0].gate["override"] == "SMOKE"


async def _slowly(pilot, keys):
    await asyncio.sleep(0.05)
    for key in keys:
        await pilot.press("space" if key == " " else key)
        await asyncio.sleep(0.02)
    await settle(pilot)


async def test_the_smoke_word_cannot_be_pasted(blocked):
    from textual import events

    async with blocked.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "l")
        await asyncio.sleep(0.05)
        blocked.screen.focused.post_message(events.Paste("SMOKE"))
        await _slowly(pilot, ["enter"])
        assert "pasted text is no answer" in problem(blocked)


def going(app, *steps, gate=None):
    """A launch in the middle."""
    screen = app.screen
    order = Order(screen._draft.cycle, screen._draft.plan(), "gpu1", gate or {}, "/run/docker.sock")
    app.session.launches.launching = Launching(list(steps), order=order)
    app.post_message(LaunchChanged())
    return app.session.launches.launching


PULLING = (Progress(Step.LOOK), Progress(Step.IMAGE, "3.1 of 12.4 GB at 84.0 MB/s", 0.25))


async def test_a_launch_that_fails_says_why_and_goes_on_with_r(app, monkeypatch):
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        launching = going(app, *PULLING)
        await settle(pilot)
        shown = text_of(screen, "#launch-text")
        assert "✔ looking at the machine" in shown
        assert "● getting the image  3.1 of 12.4 GB at 84.0 MB/s" in shown
        assert "25%" in shown
        launching.going = False
        launching.error = RemoteError("its disk is full", where="gpu1", remedy="Make room")
        app.post_message(LaunchChanged())
        await settle(pilot)
        assert "✖ gpu1: its disk is full. Make room" in text_of(screen, "#launch-text")
        again = []
        monkeypatch.setattr(app.session.launches, "again", lambda: again.append(True))
        await press(pilot, "r")
        assert again
        await press(pilot, "escape")
        assert screen.query_one("#form").display


async def test_esc_cancels_a_launch_before_anything_runs(app, two_cycles):
    """A launch without Docker's socket fails; one that waits is cancelled: nothing is left either way."""
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        for name, value in (("root", str(two_cycles / "there")), ("socket", "/nowhere.sock")):
            screen._set(name, value)
        screen._set("cpu", True)
        await press(pilot, "l")
        assert "✖" in text_of(screen, "#launch-text")
        assert not (two_cycles / "cycle1/models/sft1/training_run_info.json").exists()
        await pilot.press("r")
        await pilot.press("escape")
        await settle(pilot)
        assert not app.session.launches.launching or not app.session.launches.launching.going
    gc.collect()


async def test_readonly_launches_ends_rents_and_writes_nothing(two_cycles, recordings):
    folder = two_cycles / "cycle1/models/sft1"
    folder.mkdir(parents=True)
    info = {"run": "sft1", "run_dir": str(recordings / "hot"), "host": None, "backend": "local"}
    (folder / "training_run_info.json").write_text(json.dumps(info))
    before = {path: path.stat().st_mtime_ns for path in two_cycles.rglob("*")}
    app = ClinasrApp(open_workspace(two_cycles), readonly=True)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "l")
        assert app.session.launches.launching is None
        assert READONLY in [note.message for note in app._notifications]
        at(screen, "launch")
        await press(pilot, "enter")
        assert "--readonly" in problem(app)
        await press(pilot, "5", "K", "F", "U", "s")
        assert not isinstance(app.screen, ConfirmDialog)
        assert app.current_mode == "watch"
        assert app.session.launches.works == {}
        await press(pilot, "4", "D")
        assert app.screen.SCREEN_ID == "box"
    assert {path: path.stat().st_mtime_ns for path in two_cycles.rglob("*")} == before


async def test_a_run_of_somebody_else_can_only_be_watched(app_with):
    app = app_with("sft3")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "5")
        for key in ("K", "U", "F"):
            await press(pilot, key)
            assert "it can only be watched" in problem(app)


async def test_watch_tells_how_far_the_end_or_the_fetching_is(app_with, two_cycles):
    app = app_with("sft3")
    info = two_cycles / "cycle1/models/sft3/training_run_info.json"
    record = {"backend": "docker", "run_dir": ".", "gate": {"override": "SMOKE"}, "max_epochs": 3}
    info.write_text(json.dumps(record))
    async with app.run_test(size=(80, 24)) as pilot:
        await app.session.rescan()
        await settle(pilot)
        await press(pilot, "5")
        await settle(pilot)
        assert "F brings model and logs here, checked  U resumes" in text_of(app.screen, "#work")
        assert "smoke run" in text_of(app.screen, "#status")
        ref = app.session.workspace.runs[-1]
        app.session.launches.works[ref.folder] = RunWork("waiting for the -last checkpoint: 4 s")
        app.post_message(LaunchChanged())
        await settle(pilot)
        assert "● waiting for the -last checkpoint: 4 s" in text_of(app.screen, "#work")
        info.write_text(json.dumps({**record, "result": {"complete": True}}))
        app.session.launches.works.clear()
        await app.session.rescan()
        await settle(pilot)
        assert "✔ its result is here and checked" in text_of(app.screen, "#work")


async def test_the_model_of_a_smoke_run_is_marked_on_every_later_screen(two_cycles):
    folder = two_cycles / "cycle1/models/sft3"
    folder.mkdir(parents=True)
    record = {"run_dir": ".", "gate": {"override": "SMOKE"}}
    (folder / "training_run_info.json").write_text(json.dumps(record))
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        lines = lines_of(app.screen.query_one("#cycles", LineList))
        assert "smoke run base + sft3" in next(line for line in lines if line.startswith("2"))
        assert "smoke run" not in lines[0]
        assert "sft3 (smoke run) is re-evaluated" in " ".join(lines_of(app.screen.query_one("#steps")))
        app.session.cycle_in_view = 2
        await press(pilot, "6")
        assert "smoke run" in str(app.screen.query_one("#headline-panel").border_title)
        await press(pilot, "7")
        assert "base + sft3 smoke run" in text_of(app.screen, "#sides")


def test_picture_of_the_form(app, size, picture, monkeypatch):
    for host in ("gpu1", None):
        app.session.launches.machines[Site(host, DEFAULT_ROOT, DOCKER_SOCKET)] = L40S
    assert picture(app, size, ["9", "down", "right", "right"])


def test_picture_of_the_smoke_dialog(blocked, picture):
    assert picture(blocked, (80, 24), ["9", "l"])


def test_picture_of_a_launch(app, size, snap_compare, monkeypatch):
    monkeypatch.setattr(Launching, "left", property(lambda _: "1:51"))

    async def before(pilot):
        await opened(pilot)
        going(app, *PULLING, gate={"override": "SMOKE"})
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)


def test_picture_for_looking_only(two_cycles, picture):
    """What changes something is struck out."""
    assert picture(ClinasrApp(open_workspace(two_cycles), readonly=True), (80, 24), ["9"])
