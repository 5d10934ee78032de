"""What the stop rules learn of a run: from its record, its folder or its mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinasr_tui.flywheel.stopping import RunFacts
from clinasr_tui.flywheel.workspace import RunRef
from clinasr_tui.training.tuning_facts import local_folder, tuning_facts
from tests.support.event_records import scalar


def run(folder: Path, host: str | None = None, **info: object) -> RunRef:
    return RunRef("sft", 1, folder, ".", host, dict(info))


def events(folder: Path, wer: list[float], steps: int = 10) -> None:
    """A run with one validation an epoch of `steps` steps and a loss that falls all the time."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for step in range(len(wer) * steps):
        parts.append(scalar("train_loss", step, 1000.0 + step, 2.0 / (step + 1)))
        parts.append(scalar("epoch", step, 1000.0 + step, float(step // steps)))
        if step % steps == steps - 1:
            parts.append(scalar("val_wer", step, 1000.0 + step, wer[step // steps]))
    (folder / "events.out.tfevents.1.vm.1.0").write_bytes(b"".join(parts))
    console = f"effective maximum steps = {len(wer) * steps}\n"
    bar = f"Epoch {len(wer) - 1}: 100%|##########| {steps}/{steps} [00:01<00:00,  9.00it/s, v_num=]\n"
    end = f"`Trainer.fit` stopped: `max_epochs={len(wer)}` reached.\n"
    (folder / "console.log").write_text(console + bar + end)


def test_rising_validation_wer_under_a_falling_loss_is_overfitting(tmp_path: Path) -> None:
    events(tmp_path, [0.2, 0.1, 0.12, 0.15])
    facts = tuning_facts(run(tmp_path))
    assert (facts.name, facts.epochs, facts.since_best) == ("sft", 4, 2)
    assert "Validation WER rose twice in a row (0.100 → 0.120 → 0.150)" in facts.overfit
    events(tmp_path, [0.3, 0.2, 0.12, 0.1])
    assert tuning_facts(run(tmp_path)) == RunFacts("sft", 4, 0, "")


def test_the_record_comes_first_and_a_mirror_stands_in_for_the_host(tmp_path: Path) -> None:
    events(tmp_path / "mirror", [0.2, 0.1, 0.12, 0.15])
    remote = run(tmp_path, "gpu-box", epochs=40, best_epoch=1)
    assert local_folder(remote) == tmp_path / "mirror"
    facts = tuning_facts(remote)
    assert (facts.epochs, facts.since_best) == (40, 38)
    assert facts.overfit


@pytest.mark.parametrize("host", [None, "gpu-box"])
def test_a_run_that_is_not_here_is_known_by_its_record_alone(tmp_path: Path, host: str | None) -> None:
    folder = tmp_path / "gone"
    assert local_folder(run(folder, host)) is None
    assert tuning_facts(run(folder, host, hparams={"trainer.max_epochs": 3})) == RunFacts("sft", 3)


def test_the_demos_run(recordings: Path) -> None:
    facts = tuning_facts(run(recordings / "sft3"))
    assert (facts.epochs, facts.since_best, facts.overfit) == (3, 1, "")
