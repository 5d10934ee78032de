"""Evaluate: what is proposed, an evaluation as it goes, its end, its troubles; a stand-in transcribes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input

from clinasr_tui.app import LEAVES, READONLY, ClinasrApp
from clinasr_tui.errors import RemoteError
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.evaluate import Evaluated
from clinasr_tui.evaluation.evaluating import Evaluating
from clinasr_tui.evaluation.prepare import prepare
from clinasr_tui.evaluation.rows import Untranscribed
from clinasr_tui.evaluation.told import TRANSCRIBING
from clinasr_tui.evaluation.transcription import CONTACT
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.launch.flow import Progress, Step
from clinasr_tui.messages import EvalChanged
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.screens.evaluate import EvaluateScreen
from clinasr_tui.screens.pick_dialog import PickDialog
from clinasr_tui.widgets.line_list import LineList
from tests.support.driving import lines_of, missing, press, settle, text_of
from tests.support.evaluating import cycle, model, python_with_stand_in, said_by, transcripts

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]
SIZE = (80, 24)


@pytest.fixture
def root(tmp_path: Path, demo_data: Path) -> Path:
    """A workspace of twelve rows without transcripts, a base that is a file, one unreachable host."""
    folder = cycle(tmp_path / "my ws/cycle1", demo_data)
    base = model(tmp_path / "base.nemo", said_by(demo_data, "cycle1/per_sample.json"))
    (folder.parent / "ssh_config").write_text("Host gone\n  HostName 127.0.0.1\n  Port 1\n  User nobody\n")
    (folder.parent / "clinasr.toml").write_text(f'[gate]\nbase = "{base}"\n[ssh]\nconfig = "ssh_config"\n')
    return folder.parent


@pytest.fixture
def tuned(root: Path, demo_data: Path) -> Path:
    """The same with a baseline and a fetched tuned model, which takes its time and notes each row."""
    return _tuned(root, demo_data, seconds=0.15)


@pytest.fixture
def slow(root: Path, demo_data: Path) -> Path:
    """The same, slow enough that keys come while it transcribes, however busy the machine is."""
    return _tuned(root, demo_data, seconds=0.6)


def _tuned(root: Path, demo_data: Path, *, seconds: float) -> Path:
    texts = said_by(demo_data, "cycle1/per_sample.json")
    rows = [json.loads(line) for line in (root / "cycle1/manifest.jsonl").read_text().splitlines()]
    told = [{**row, "ref": row["text"], "hyp": texts[Path(row["audio_filepath"]).name]} for row in rows]
    (root / "cycle1/per_sample.json").write_text("".join(json.dumps(row) + "\n" for row in told))
    (root / "cycle1/models/sft").mkdir(parents=True)
    better = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    place = root / "cycle1/models/sft/adapted_model.nemo"
    model(place, better, seconds=seconds, calls=str(root.parent / "calls"))
    return root


@pytest.fixture
def heard(root: Path) -> Callable[[], int]:
    """How many rows the tuned model has been given so far."""
    calls = root.parent / "calls"
    return lambda: len(calls.read_text().split()) if calls.exists() else 0


async def until(holds: Callable[[], object], what: str, seconds: float = 40.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.05)


async def choose(pilot, name: str, value: str) -> None:
    """Type a setting's value."""
    pilot.app.screen.query_one("#fields", LineList).move_to(name)
    await press(pilot, "enter")
    pilot.app.screen.query_one("#ask", Input).value = value
    await press(pilot, "enter")
    assert pilot.app.screen._draft.text(name) == value


async def set_up(pilot, root: Path, *keys: str, batch: str = "2") -> EvaluateScreen:
    """Open Evaluate; name a Python that has the stand-in, a folder of the test's own, few rows at a time."""
    await settle(pilot)
    await press(pilot, *(keys or ("E",)))
    screen = pilot.app.screen
    assert isinstance(screen, EvaluateScreen)
    await choose(pilot, "python", str(python_with_stand_in(root.parent)))
    await choose(pilot, "root", str(root.parent / "its root"))
    await choose(pilot, "batch_size", batch)
    await press(pilot, "home")
    return screen


def read(app: ClinasrApp, selector: str) -> str:
    """What a widget shows, wherever its lines are broken."""
    return " ".join(text_of(app.screen, selector).split())


def work(app: ClinasrApp) -> str:
    return read(app, "#work-text")


def problem(app: ClinasrApp) -> str:
    return app.screen.query_one("#problem").text


def over(app: ClinasrApp) -> bool:
    held = app.session.evaluations.evaluating
    return held is not None and not held.going


async def test_the_base_gives_the_cycle_its_baseline_from_the_next_step_on(root, tmp_path):
    app = ClinasrApp(open_workspace(root))
    async with app.run_test(size=SIZE) as pilot:
        screen = await set_up(pilot, root, "n")
        assert screen._draft.model.model == str(tmp_path / "base.nemo")
        assert "cycle 1 · 12 rows → cycle 1's own transcripts: the baseline" in read(app, "#facts")
        await press(pilot, "enter")
        await until(lambda: "3 gate" in work(app), "the baseline was not made")
        assert "cycle 1 has its own transcripts, by base" in work(app)
        assert "KER ★" in work(app)
        await press(pilot, "1")
        steps = " ".join(lines_of(app.screen.query_one("#steps")))
        assert "✔ baseline" in steps
        await press(pilot, "E")
        await press(pilot, "escape")
        assert "it is made already" in read(app, "#facts")
        await press(pilot, "s")
        assert "cycle 1 is this evaluation already" in problem(app)
    assert len(transcripts(root / "cycle1/per_sample.json")) == 12


async def test_a_tuned_model_makes_cycle_2_and_7_compares_it(tuned):
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await set_up(pilot, tuned)
        assert "→ cycle 2" in read(app, "#facts")
        assert "its run is not known" in read(app, "#facts")
        await pilot.press("s")
        await until(lambda: "real time" in work(app), "no speed was told")
        assert "● transcribing" in work(app)
        assert "of 12 rows · on cpu" in work(app)
        assert screen.query_one("#form").display is False
        await pilot.press("1")
        await until(lambda: "● eval" in text_of(app.screen, "TitleLine"), "the title does not say it")
        await until(lambda: "transcribing" in text_of(app.screen, "#next"), "the steps do not say it")
        assert "● evaluating" in lines_of(app.screen.query_one("#cycles"))[0]
        await until(lambda: over(app), "it never ended")
        await settle(pilot)
        assert [cycle.number for cycle in app.session.workspace.cycles] == [1, 2]
        assert "adapted_model" in " ".join(lines_of(app.screen.query_one("#cycles")))
        assert "eval" not in text_of(app.screen, "TitleLine")
        notices = [notice.message for notice in app._notifications]
        assert any("cycle 2: KER" in text and "7 compares" in text for text in notices)
        await press(pilot, "E")
        assert "cycle 2 is made, by adapted_model" in work(app)
        assert "all rows (n 12)" in work(app)
        await press(pilot, "7")
        assert "cycle 1 → cycle 2 adapted_model" in read(app, "#sides")


async def test_esc_asks_then_ends_and_the_next_start_repeats_no_row(slow, heard):
    app = ClinasrApp(open_workspace(slow))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, slow)
        await pilot.press("enter")
        await until(lambda: heard() >= 3, "it never began")
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, ConfirmDialog), "it was not asked")
        assert "What is transcribed is kept" in read(app, ".dialog-text")
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, EvaluateScreen), "the dialog stayed")
        assert app.session.evaluations.going
        await pilot.press("escape", "y")
        await until(lambda: over(app), "it was not ended")
        await settle(pilot)
        assert "■ Ended. What is transcribed is kept" in work(app)
        assert not (slow / "cycle2").exists()
        [place] = (slow.parent / "its root/my-ws/evals").glob("*/offline_hyps.jsonl")
        kept, count = len(transcripts(place)), heard()
        await press(pilot, "escape")
        assert "Go on with it on this machine" in lines_of(app.screen.query_one("#fields"))[0]
        assert "an earlier start was not finished" in read(app, "#facts")
        await press(pilot, "enter")
        assert "cycle 2 is made" in work(app)
        assert heard() - count == 12 - kept


async def test_rows_that_fail_are_named_and_r_does_just_those_again(tuned, heard):
    lines = (tuned / "cycle1/manifest.jsonl").read_text().splitlines()
    audio = [tuned / "cycle1" / json.loads(line)["audio_filepath"] for line in lines]
    gone = {audio[1]: audio[1].read_bytes(), audio[6]: audio[6].read_bytes()}
    audio[1].unlink()
    audio[6].write_bytes(b"")
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=(140, 45)) as pilot:
        await set_up(pilot, tuned, batch="8")
        await press(pilot, "s")
        assert "2 rows have no transcript and are in no figure" in work(app)
        assert "line 2" in work(app)
        assert "No such file or directory" in work(app)
        for path, content in gone.items():
            path.write_bytes(content)
        await press(pilot, "r")
        assert "no transcript" not in work(app)
        assert "all rows (n 12)" in work(app)
    assert heard() == 12


async def asked_on_leaving(pilot, app, heard):
    """Begin, and leave in the middle: the dialog is up."""
    await pilot.press("s")
    await until(lambda: heard() >= 3, "it never began")
    await pilot.press("q")
    await until(lambda: isinstance(app.screen, PickDialog), "it was not asked")


async def test_leaving_lets_it_go_on_and_the_next_start_follows_it(slow, heard):
    app = ClinasrApp(open_workspace(slow))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, slow)
        await asked_on_leaving(pilot, app, heard)
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, EvaluateScreen), "the dialog stayed")
        assert app.session.evaluations.going
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, PickDialog), "it was not asked")
        assert LEAVES[1].startswith("Leave, it goes on")
        await pilot.press("down", "enter")
        await until(lambda: app._exit, "it was not left")
    there = heard()
    await until(lambda: heard() > there, "it did not go on")
    app = ClinasrApp(open_workspace(slow))
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert "an earlier start was not finished" in read(app, "#facts")
        await press(pilot, "enter")
        assert "cycle 2 is made" in work(app)
    assert heard() == 12


async def test_leaving_can_end_it_too(tuned, heard):
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, tuned)
        await asked_on_leaving(pilot, app, heard)
        await pilot.press("end", "enter")
        await until(lambda: app._exit, "it was not left")
    [place] = (tuned.parent / "its root/my-ws/evals").glob("*/exit.json")
    assert json.loads(place.read_text())["asked"] == "SIGTERM"


async def test_readonly_looks_but_starts_nothing(tuned):
    app = ClinasrApp(open_workspace(tuned), readonly=True)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E", "s")
        assert any(notice.message == READONLY for notice in app._notifications)
        await press(pilot, "enter")
        assert "--readonly" in problem(app)
        assert app.session.evaluations.evaluating is None
    assert not (tuned / "cycle1/evals").exists()


async def test_what_is_wrong_is_one_line_and_nothing_is_lost(tuned):
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E", "enter")
        assert "this program's Python has no NeMo" in problem(app)
        assert app.screen.query_one("#fields", LineList).cursor_key == "python"
        await choose(pilot, "python", "/usr/bin/python3")
        await press(pilot, "s")
        assert "/usr/bin/python3 has no NeMo" in work(app)
        assert "r tries it again" in work(app)
        await press(pilot, "escape")
        app.screen.query_one("#fields", LineList).move_to("model")
        await press(pilot, "enter", "end", "enter")
        app.screen.query_one("#ask", Input).value = "no-such.nemo"
        await press(pilot, "enter")
        assert "no-such.nemo: no such model" in problem(app)
        await press(pilot, "s")
        assert "no-such.nemo: no such model" in problem(app)
        assert not app.session.evaluations.going
        await press(pilot, "backspace")
        assert problem(app) == ""
        app.screen.query_one("#fields", LineList).move_to("general")
        await press(pilot, "enter")
        app.screen.query_one("#ask", Input).value = "nowhere.jsonl"
        await press(pilot, "enter")
        assert "no such file" in app.screen.query_one("#ask").problem
        await press(pilot, "escape")


async def test_a_host_that_does_not_answer_is_said(tuned):
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        app.screen.query_one("#fields", LineList).move_to("place")
        await press(pilot, "right")
        assert "on gone · docker" in read(app, "#facts")
        await press(pilot, "s")
        assert "✖ gone" in work(app)
        assert "refuse" in work(app)


async def test_a_general_set_is_the_second_part(tuned, demo_data):
    general = cycle(tuned / "general", demo_data, rows=4) / "manifest.jsonl"
    app = ClinasrApp(open_workspace(tuned))
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await set_up(pilot, tuned)
        await choose(pilot, "general", str(general))
        assert "cycle 1 · 16 rows" in read(app, "#facts")
        assert "forgetting needs the base's transcripts" in read(app, "#facts")
        screen.query_one("#fields", LineList).move_to("general")
        assert any("rows and general set" in line for line in lines_of(screen.query_one("#fields")))
        await pilot.press("s")
        await until(lambda: "part 2 of 2: the general set" in work(app), "the second part was not told")
        await until(lambda: over(app), "it never ended")
        await settle(pilot)
        assert "cycle 2 is made" in work(app)
    assert len(transcripts(tuned / "cycle2/general_hyps.jsonl")) == 4


async def test_a_box_is_not_stopped_while_it_evaluates(pictured, monkeypatch):
    ended = []
    monkeypatch.setattr(pictured.session.boxes, "run_ended", lambda *told: ended.append(told))
    async with pictured.run_test(size=SIZE) as pilot:
        await settle(pilot)
        run = pictured.session.watch(pictured.session.workspace.runs[0])
        run.ended = True
        held = shown(pictured)
        pictured.session.stop_box_after("sft3")
        assert ended == []
        held.going = False
        await pictured.session.take_evaluated()
        assert [told[0] for told in ended] == ["gpu-box"]


async def test_what_cannot_be_compared_is_said(pictured, two_cycles):
    (two_cycles / "cycle1/per_sample.json").write_text("{")
    done = Evaluated(two_cycles / "cycle2", 2, (), (), False, ())
    async with pictured.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        shown(pictured, going=False, done=done)
        await settle(pilot)
        assert "scoring and comparing" in work(pictured)
        await pictured.session.take_evaluated()
        await settle(pilot)
        assert "no figures: Leaderboard (6) and Compare (7) say why" in work(pictured)


async def test_a_manifest_is_wanted(tmp_path, app_on):
    (tmp_path / "clinasr.toml").touch()
    app = app_on(tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        assert "No cycle has a manifest.jsonl yet" in missing(app.screen)
        await press(pilot, "s", "r", "escape", "right_square_bracket", "enter", "backspace", "right")


async def test_other_screens_lead_here_with_their_run(app_with):
    app = app_with("sft3", "hot")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        app.action_show("watch")
        await settle(pilot)
        app.screen._switch(app.session.workspace.runs[0])
        await settle(pilot)
        await press(pilot, "E")
        assert app.screen._draft.choices.run == "sft3"
        assert "run sft3 was not launched from here: where its model lies is not known" in problem(app)
        assert "--model" not in problem(app), "the form has a field for it"
        fields = app.screen.query_one("#fields", LineList)
        assert fields.cursor_key == "model"
        lines = lines_of(fields)
        assert any("It cannot be started yet" in line for line in lines)
        assert any("machine" in line and "this machine" in line for line in lines)
        await press(pilot, "s")
        assert "where its model lies is not known" in problem(app)


# --- pictures ------------------------------------------------------------------------------------


@pytest.fixture
def pictured(two_cycles: Path) -> ClinasrApp:
    """The demo's cycles with a run that was launched from here on a host, and its Python known."""
    folder = two_cycles / "cycle1/models/sft3"
    folder.mkdir(parents=True)
    record = {"run": "sft3", "host": "gpu-box", "run_dir": "/home/u/clinasr/w/runs/sft3", "backend": "docker"}
    (folder / "training_run_info.json").write_text(json.dumps({**record, "root": "/home/u/clinasr"}))
    (two_cycles / "ssh_config").write_text("Host gpu-box\n  HostName 192.0.2.1\n")
    (two_cycles / "clinasr.toml").write_text('[ssh]\nconfig = "ssh_config"\n')
    return ClinasrApp(open_workspace(two_cycles))


def shown(app: ClinasrApp, *steps: Progress, **given: object) -> Evaluating:
    """An evaluation in the state it would have."""
    evaluation = prepare(app.session.workspace.root / "cycle1", EvalChoices(run="sft3"))
    held = Evaluating(evaluation=evaluation)
    for one in steps:
        held.take(one)
    for name, value in given.items():
        setattr(held, name, value)
    app.session.evaluations.evaluating = held
    app.post_message(EvalChanged())
    return held


BEFORE = (
    Progress(Step.LOOK),
    Progress(Step.IMAGE, "4.1 of 12.0 GB at 80.1 MB/s", 0.3),
    Progress(Step.SEND, "3.2 of 3.2 MB, 0 files are there already", 1.0),
    Progress(Step.START),
)
TOLD = Progress(TRANSCRIBING, "120 of 250 rows, on cuda, 142× real time, 3 without a transcript", 0.48, 62.0)


async def _going(pilot):
    shown(pilot.app, *BEFORE, TOLD)


async def _contact(pilot):
    shown(
        pilot.app,
        *BEFORE,
        TOLD,
        Progress(CONTACT, "contact lost (timed out): it goes on there, next try in 4 s"),
    )


async def _made(pilot):
    app = pilot.app
    rows = tuple(
        Untranscribed(line, f"audio/clip_{line}.flac", "No such file or directory")
        for line in (3, 17, 80, 81)
    )
    done = Evaluated(app.session.workspace.root / "cycle2", 2, rows, (), False, ())
    held = shown(app, *BEFORE, TOLD, going=False, done=done)
    held.change = await app.session.comparison(*app.session.workspace.cycles)
    app.post_message(EvalChanged())


async def _failed(pilot):
    error = RemoteError(
        "the transcription was killed: the machine's memory was full",
        where="gpu-box:/home/u/clinasr/w/evals/sft3-0a1b2c3d4e",
        remedy="Run the same command again: it goes on with the next row, best with a smaller --batch-size.",
    )
    shown(pilot.app, *BEFORE, TOLD, going=False, error=error)


async def _form(pilot):
    pass


async def _leaving(pilot):
    shown(pilot.app, *BEFORE, TOLD)
    await settle(pilot)
    await pilot.press("q")


@pytest.mark.parametrize(
    "state", [_form, _going, _contact, _made, _failed, _leaving], ids=lambda one: one.__name__.strip("_")
)
def test_picture(pictured, size, snap_compare, state):
    async def before(pilot):
        await settle(pilot)
        await press(pilot, "E")
        await state(pilot)
        await settle(pilot)

    assert snap_compare(pictured, terminal_size=size, run_before=before)
