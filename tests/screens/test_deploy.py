"""Deploy: the newest tuned model and what makes a NIM of it."""

from __future__ import annotations

import shutil

import pytest

from clinasr_tui.flywheel.stepper import StepState, steps
from clinasr_tui.widgets.prompt import Prompt
from tests.support import nemo_models
from tests.support.driving import lines_of, missing, press, settle, text_of
from tests.support.nemo_models import put_model
from tests.support.nim import raw_port, stand_in_nim
from tests.support.oracle import shown as shown_score


@pytest.fixture
def with_model(two_cycles, app_on, monkeypatch):
    """Makes the app, in its workspace's folder, on both cycles and a fetched model of run sft3."""
    monkeypatch.chdir(two_cycles)

    def make(config=nemo_models.TDT, *, serving=False):
        folder = two_cycles / "cycle1" / "models" / "sft3"
        put_model(folder / "adapted_model.nemo", config)
        (folder / "training_run_info.json").write_text(
            '{"run": "sft3", "host": "gpu-box", "run_dir": "/runs/sft3"}'
        )
        if serving:
            shutil.copy(
                two_cycles / "cycle2" / "offline_hyps.jsonl", two_cycles / "cycle2" / "serving_hyps.jsonl"
            )
        return app_on(two_cycles)

    return make


def test_picture(with_model, size, picture):
    assert picture(with_model(), size, ["8", "down", "down"])


def test_picture_of_what_to_mind(with_model, size, picture):
    assert picture(with_model(), size, ["8", "end", "up"])


def test_picture_of_a_refused_model(with_model, size, picture):
    assert picture(with_model(nemo_models.HYBRID), size, ["8"])


def test_picture_of_what_serving_changed(with_model, size, picture):
    assert picture(with_model(serving=True), size, ["8", "end"])


def test_picture_of_a_question(with_model, size, picture):
    assert picture(with_model(), size, ["8", "end", "i"])


def test_picture_without_a_model(cockpit, size, picture):
    assert picture(cockpit, size, ["8"])


def test_picture_of_a_service_without_its_model(two_cycles, app_on, size, picture):
    shutil.copy(two_cycles / "cycle1" / "per_sample.json", two_cycles / "cycle2" / "serving_hyps.jsonl")
    assert picture(app_on(two_cycles), size, ["8"])


def deploy_step(app):
    """State and detail of the stepper's last step."""
    step = steps(app.session.workspace, app.session.facts)[-1]
    return step.state, step.detail


async def shown(pilot, *keys):
    await settle(pilot)
    await press(pilot, "8", *keys)
    return pilot.app.screen


async def answer(pilot, key, text):
    """Press a key that asks, and answer."""
    await press(pilot, key)
    prompt = pilot.app.screen.query_one(Prompt)
    prompt.value = text
    await press(pilot, "enter")
    return prompt


async def test_a_command_is_copied_whole(with_model):
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, "down", "down", "y")
        assert app.clipboard == next(one.shell for one in screen._view.commands if one.id == "build")
        assert "decoder=nemo" in app.clipboard
        assert "\n" not in app.clipboard
        await press(pilot, "end", "y")
        assert "ASR_ENDPOINT" in app.clipboard


async def test_the_script_is_written_beside_the_model_and_not_over_another(with_model, two_cycles):
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, "w")
        assert screen.query_one(Prompt).value == str(two_cycles / "cycle1" / "models" / "sft3")
        await press(pilot, "enter")
        script = two_cycles / "cycle1" / "models" / "sft3" / "deploy.sh"
        assert script.stat().st_mode & 0o777 == 0o755
        assert "cycle2/serving_hyps.jsonl" in script.read_text()
        script.write_text("mine")
        await press(pilot, "w", "enter")
        prompt = screen.query_one(Prompt)
        assert "another file" in prompt.problem
        assert prompt.has_focus
        assert script.read_text() == "mine"
        await press(pilot, "escape")
        assert not prompt.has_class("-open")


async def test_another_model_is_named_and_a_bad_one_is_said_where_it_was_typed(with_model, tmp_path):
    app = with_model()
    other = put_model(tmp_path / "elsewhere" / "ctc.nemo", nemo_models.CTC)
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        prompt = await answer(pilot, "o", str(tmp_path / "none.nemo"))
        assert "no such model" in prompt.problem
        prompt.value = str(other)
        await press(pilot, "enter")
        assert "decoder=greedy" in text_of(screen, "#model")
        assert "named by you" in text_of(screen, "#model")
        await press(pilot, "left_square_bracket")
        assert "decoder=nemo" in text_of(screen, "#model")


async def test_another_image_is_chosen_by_its_id(with_model):
    app = with_model()
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        prompt = await answer(pilot, "i", "not an id")
        assert "no container id" in prompt.problem
        prompt.value = "parakeet-1-1b-ctc-en-us"
        await press(pilot, "enter")
        assert "image parakeet-1-1b-ctc-en-us" in text_of(screen, "#model")
        assert "broken RMIR" in text_of(screen, "#more")


async def test_models_are_gone_through(with_model, two_cycles):
    folder = two_cycles / "cycle2" / "models" / "mine"
    put_model(folder / "adapted_model.nemo", nemo_models.CTC)
    app = with_model()
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        assert "sft3" in text_of(screen, "#model"), "the run that was decided on comes first"
        assert "1 of 2" in text_of(screen, "#model")
        await press(pilot, "right_square_bracket", "right_square_bracket")
        assert "cycle2/models/mine" in text_of(screen, "#model")


async def test_a_nims_health_is_asked_and_shown(with_model):
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot)
        with stand_in_nim() as nim:
            await answer(pilot, "c", nim.address)
        assert f"✔ {nim.address} is ready" in text_of(screen, "#model")
        with stand_in_nim(503, {"status": "[bold]not ready"}) as nim:
            await answer(pilot, "c", nim.address)
        assert f"✖ {nim.address} is not ready: it answers 503" in text_of(screen, "#model")
        assert "[bold]" in text_of(screen, "#model")
        with raw_port(b"") as address:
            await answer(pilot, "c", address)
        assert "hung up" in text_of(screen, "#problem")


async def test_a_streaming_model_is_refused_with_the_reason(with_model):
    app = with_model(nemo_models.STREAMING)
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        assert "fine-tuning is broken" in text_of(screen, "#model")
        assert not screen.query_one("#panes").display
        await press(pilot, "w")
        assert "no model that can be handed over" in text_of(screen, "#problem")


async def test_a_damaged_model_is_one_line(with_model, two_cycles):
    app = with_model()
    (two_cycles / "cycle1" / "models" / "sft3" / "adapted_model.nemo").write_bytes(b"x" * 600)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot)
        assert "no .nemo file" in text_of(screen, "#problem")
        assert not screen.query_one("#panes").display


async def test_what_serving_changed_is_compared_row_by_row(with_model, demo_figures):
    same = shown_score(demo_figures[2].ker)
    app = with_model(serving=True)
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        assert f"KER {same} → {same}" in text_of(screen, "#model")
        assert "n 250" in text_of(screen, "#model")


async def test_what_is_served_without_a_model_here_is_shown(two_cycles, app_on):
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    shutil.copy(two_cycles / "cycle2" / "offline_hyps.jsonl", serving)
    app = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert deploy_step(app) == (
            StepState.DONE,
            "cycle2/serving_hyps.jsonl: it serves as well as offline (8 shows it)",
        )
        screen = await shown(pilot)
        assert missing(screen) == ""
        assert "No tuned model is here" in text_of(screen, "#model")
        assert "✖ the honest verdict is worse" in text_of(screen, "#model")
        assert "✔ cycle2/serving_hyps.jsonl: it serves as well as offline" in text_of(screen, "#model")


@pytest.mark.parametrize(
    ("text", "step", "line"),
    [
        ("", "there are no transcripts", "there are no transcripts"),
        ("garbage\n", "not valid JSON", "not valid JSON"),
        (None, "not all rows were served, 240 of 250", "not all rows were served, 240 of 250"),
    ],
)
async def test_transcripts_of_the_service_that_tell_nothing_do_not_end_the_turn(
    with_model, two_cycles, text, step, line
):
    app = with_model(serving=True)
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    rows = serving.read_text().splitlines(keepends=True)
    serving.write_text("".join(rows[:10]) if text is None else text)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        state, detail = deploy_step(app)
        assert state is StepState.READY
        assert step in detail
        screen = await shown(pilot)
        told = text_of(screen, "#model") + text_of(screen, "#problem")
        assert line in " ".join(told.split()), "however it is wrapped"


async def test_newer_transcripts_of_the_service_are_compared_anew(with_model, two_cycles, demo_figures):
    base, tuned = (shown_score(demo_figures[number].ker) for number in (1, 2))
    app = with_model(serving=True)
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
        shutil.copy(two_cycles / "cycle1" / "per_sample.json", serving)
        await app.session.rescan()
        await settle(pilot)
        assert f"KER {tuned} → {base}" in text_of(screen, "#model")


async def test_the_stepper_leads_here(with_model):
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "tab", "end")
        assert lines_of(app.screen.query_one("#steps"))[-1].split()[1] == "deploy"
        await press(pilot, "enter")
        assert app.screen.SCREEN_ID == "deploy"


async def test_what_is_not_to_be_kept_is_said_here(with_model, two_cycles):
    shutil.copy(two_cycles / "cycle1" / "per_sample.json", two_cycles / "cycle2" / "offline_hyps.jsonl")
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot)
        assert "✖ not now:" in text_of(screen, "#model")


async def test_a_model_that_comes_here_is_noticed(with_model, two_cycles, tmp_path):
    app = with_model()
    model = two_cycles / "cycle1" / "models" / "sft3" / "adapted_model.nemo"
    aside = model.rename(tmp_path / "aside.nemo")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        state, detail = deploy_step(app)
        assert state is StepState.BLOCKED
        assert "needs the tuned model" in detail
        screen = await shown(pilot)
        assert "No tuned model is here yet ✖ the honest verdict is worse" in missing(screen)
        aside.rename(model)
        await app.session.rescan()
        await settle(pilot)
        assert deploy_step(app)[0] is StepState.READY


async def test_a_model_of_another_run_is_not_taken_for_the_one_decided_on(with_model, two_cycles):
    app = with_model()
    (two_cycles / "cycle1" / "models" / "sft3" / "adapted_model.nemo").unlink()
    put_model(two_cycles / "cycle2" / "models" / "mine" / "adapted_model.nemo")
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        assert "needs the tuned model" in deploy_step(app)[1]
        screen = await shown(pilot)
        assert "cycle2/models/mine" in text_of(screen, "#model")
        assert "it is not the model that was decided on" in text_of(screen, "#model")


async def test_a_model_is_shown_with_its_own_cycles_figures(two_cycles, app_on, monkeypatch):
    monkeypatch.chdir(two_cycles)
    shutil.copytree(two_cycles / "cycle2", two_cycles / "cycle3")
    info = two_cycles / "cycle3" / "eval_info.json"
    info.write_text(info.read_text().replace("sft3", "sft12"))
    shutil.copy(two_cycles / "cycle3" / "offline_hyps.jsonl", two_cycles / "cycle3" / "serving_hyps.jsonl")
    for name in ("sft3", "sft12"):
        folder = two_cycles / "cycle1" / "models" / name
        put_model(folder / "adapted_model.nemo")
        (folder / "training_run_info.json").write_text(f'{{"run": "{name}", "host": "b", "run_dir": "/r"}}')
    app = app_on(two_cycles)
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await shown(pilot)
        for name, cycle, served in (("sft12", "cycle3", True), ("sft3", "cycle2", False)):
            assert f"models/{name}/" in text_of(screen, "#model")
            assert f"clinasr-tui compare {cycle} {cycle}/serving_hyps.jsonl" in text_of(screen, "#more")
            assert ("served KER" in text_of(screen, "#model")) is served
            await press(pilot, "right_square_bracket")


async def test_what_the_honest_verdict_has_against_it_is_said_here(with_model, two_cycles):
    app = with_model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot)
        assert app.session.facts.verdict == "keep"
        assert "✖ the honest verdict is worse: press 7 for why" in text_of(screen, "#model")
        (two_cycles / "cycle2" / "general_hyps.jsonl").unlink()
        await app.session.rescan()
        await settle(pilot)
        assert app.session.facts.honest == "keep"
        assert "honest" not in text_of(screen, "#model")


async def test_who_only_looks_writes_nothing_but_may_ask(with_model):
    app = with_model()
    app.session.readonly = True
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, "w")
        assert not screen.query_one(Prompt).has_class("-open")
        await press(pilot, "o")
        assert screen.query_one(Prompt).has_class("-open")
