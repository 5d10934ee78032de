"""The flywheel as steps: what is done, what is ready, what is blocked and why, what to do next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.run_marks import SMOKE, is_smoke

if TYPE_CHECKING:
    from clinasr_tui.flywheel.workspace import Cycle, RunRef, Workspace


class StepState(StrEnum):
    """State of a step of the flywheel."""

    DONE = "done"
    RUNNING = "running"
    READY = "ready"
    BLOCKED = "blocked"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper: `screen` is where Enter leads, `detail` the reason or next action.

    `screen` is "" where no screen belongs to the step: it is done outside of this program.
    """

    id: str
    label: str
    state: StepState
    detail: str
    screen: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the stepper needs beyond files: results computed in workers (None: not known yet).

    They are about the round of `current_round`.
    """

    preflight_errors: int | None = None
    gate_passed: bool | None = None
    gate_reason: str = ""
    run_outcome: str | None = None
    """training.snapshot.Outcome of the newest run as text, None if not watched yet."""
    run_progress: str = ""
    """For example "epoch 2/3, about 40 s left"."""
    verdict: str | None = None
    """The published verdict of the newest comparison."""
    honest: str | None = None
    """The honest one: held-out rows, beyond chance, forgetting."""
    stop: str = ""
    """Why tuning should stop, "" while it need not."""
    model_here: bool | None = None
    """Whether the model that was decided on is on this machine."""
    serving: str | None = None
    """What speaks against the deployed model's transcripts; "" if it serves as well as offline."""
    evaluates: str = ""
    """The step an evaluation that goes on belongs to: "baseline" or "re-eval"; "" without one."""
    eval_progress: str = ""
    """For example "48 % of the rows"."""
    box_state: str = ""
    """pending, ready or stopped; "" without a rented box."""
    box_detail: str = ""
    """One line about the rented box."""

    @property
    def differs(self) -> bool:
        """Whether the honest verdict is another than the published one."""
        return self.honest is not None and self.honest != self.verdict


class Round(NamedTuple):
    """One turn of the flywheel: the cycle it starts from, its run, the cycle that re-evaluates."""

    base: Cycle | None
    run: RunRef | None
    """The newest run of `base`."""
    reeval: Cycle | None
    """The newest later cycle with figures: a base may be tuned more than once."""
    before: Cycle | None = None
    """What the re-evaluation is compared with: the cycle with figures before it, at first the base."""

    @property
    def hears_an_older_run(self) -> bool:
        """True if the re-evaluation names an older run than the newest: that one is not heard yet."""
        if self.base is None or self.run is None or self.reeval is None:
            return False
        return self.reeval.run in {run.name for run in self.base.runs} - {self.run.name}


def current_round(workspace: Workspace) -> Round:
    """The newest turn of the flywheel in a workspace.

    It starts from the newest cycle that is more than a re-evaluation. A re-evaluation is a cycle with
    transcripts (and perhaps the same manifest) but no split or run of its own, whose transcripts are
    offline_hyps.jsonl or follow a cycle with a run.
    """
    base = None
    trained = False
    for cycle in workspace.cycles:
        own_work = bool(cycle.runs or cycle.train)
        reevaluates = cycle.hypotheses is not None and (
            trained or cycle.hypotheses.name == "offline_hyps.jsonl"
        )
        if base is None or own_work or not (reevaluates or cycle.is_empty):
            base = cycle
        trained = bool(cycle.runs)
    if base is None:
        return Round(None, None, None)
    run = base.runs[-1] if base.runs else None
    later = [cycle for cycle in workspace.cycles if cycle.number > base.number]
    scored = [base, *(cycle for cycle in later if cycle.hypotheses or cycle.leaderboard)]
    if len(scored) == 1:
        return Round(base, run, None)
    return Round(base, run, scored[-1], scored[-2])


_BOX_STATES = {
    "pending": StepState.RUNNING,
    "ready": StepState.DONE,
    "stopped": StepState.NONE,
}
_OUTCOMES = {
    "failed": "has failed",
    "diverged": "has diverged: its weights are lost",
    "interrupted": "was interrupted",
}
_ACTIONS = {
    "grow": "grow the manifest (build), then start cycle {next}",
    "worse": "overfit: grow the manifest (build) before any retraining, then start cycle {next}",
    "unchanged": "look at the categories: the terms may already have been known",
}


def steps(workspace: Workspace, facts: Facts) -> tuple[Step, ...]:
    """manifest, baseline, gate, split, box, train, re-eval, decide, deploy, in this order."""
    turn = current_round(workspace)
    manifest = _manifest(turn, facts)
    baseline = _baseline(turn, manifest, facts)
    gate = _gate(baseline, facts)
    split = _split(turn, manifest, gate)
    train = _train(turn, split, facts)
    reeval = _reeval(turn, train, facts)
    decide = _decide(turn, baseline, reeval, facts)
    deploy = _deploy(turn, decide, facts)
    return (manifest, baseline, gate, split, _box(turn, facts), train, reeval, decide, deploy)


def next_step(all_steps: tuple[Step, ...]) -> Step | None:
    """The step to do next: the running one, else the first ready one, else the first blocked one."""
    for state in (StepState.RUNNING, StepState.READY, StepState.BLOCKED):
        for step in all_steps:
            if step.state is state:
                return step
    return None


def _manifest(turn: Round, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        return Step("manifest", "manifest", state, detail, "manifest")

    folder = turn.base.folder.name if turn.base else "cycle1"
    if turn.base is None or turn.base.manifest is None:
        return step(StepState.READY, f"put manifest.jsonl and its audio/ (stage build) into {folder}/")
    if facts.preflight_errors:
        count = facts.preflight_errors
        found = f"{count} pre-flight error{'s' * (count != 1)}"
        return step(StepState.BLOCKED, f"{found}: press 2 for the rows and what to do")
    clean = "pre-flight clean" if facts.preflight_errors == 0 else "pre-flight not finished yet"
    return step(StepState.DONE, f"{folder}/manifest.jsonl, {clean}")


def _baseline(turn: Round, manifest: Step, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        screen = "leaderboard" if state is StepState.DONE else "evaluate"
        return Step("baseline", "baseline", state, detail, screen)

    if facts.evaluates == "baseline":
        return step(StepState.RUNNING, _evaluates(facts))
    if turn.base is not None and (turn.base.hypotheses or turn.base.leaderboard):
        return step(
            StepState.DONE, f"{turn.base.folder.name} is scored: {turn.base.model or 'unnamed model'}"
        )
    if turn.base is None or manifest.state is StepState.READY:
        return step(StepState.BLOCKED, "needs the manifest")
    if manifest.state is StepState.BLOCKED:
        return step(StepState.BLOCKED, "mend the manifest first")
    folder = turn.base.folder.name
    return step(StepState.READY, f"press E: the base transcribes it; or put {folder}/per_sample.json there")


def _gate(baseline: Step, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        return Step("gate", "gate", state, detail, "gate")

    if baseline.state is not StepState.DONE:
        return step(StepState.BLOCKED, "needs a scored baseline")
    if facts.gate_passed is None:
        return step(StepState.READY, "press 3 to see whether fine-tuning pays")
    if facts.gate_passed:
        return step(StepState.DONE, facts.gate_reason or "fine-tuning pays")
    return step(StepState.BLOCKED, facts.gate_reason or "press 3 for the criteria that do not hold")


def _split(turn: Round, manifest: Step, gate: Step) -> Step:
    def step(state: StepState, detail: str) -> Step:
        return Step("split", "split", state, detail, "manifest")

    if turn.base is not None and turn.base.train and turn.base.validation:
        return step(StepState.DONE, "train.jsonl and validation.jsonl are there")
    if turn.reeval is not None:
        scored = turn.reeval.folder.name
        return step(StepState.DONE, f"none is recorded, but {scored} is scored: held-out rows are not known")
    if turn.base is None or turn.base.manifest is None:
        return step(StepState.BLOCKED, "needs the manifest")
    if manifest.state is StepState.BLOCKED:
        return step(StepState.BLOCKED, "mend the manifest first")
    if gate.state is not StepState.DONE:
        return step(StepState.BLOCKED, "after the gate")
    folder = turn.base.folder.name
    return step(StepState.READY, f"run: clinasr-tui split {shlex.quote(f'{folder}/manifest.jsonl')}")


def _box(turn: Round, facts: Facts) -> Step:
    """A box is one way to a GPU, so without one nothing waits for it."""
    if facts.box_state in _BOX_STATES:
        return Step("box", "box", _BOX_STATES[facts.box_state], facts.box_detail, "box")
    if turn.run is None:
        detail = "your own GPU host needs none; press 4 for offers and what they cost"
    elif turn.run.host is None:
        detail = "not needed: the run is on this machine"
    else:
        detail = f"not needed: the run is on host {turn.run.host}"
    return Step("box", "box", StepState.NONE, detail, "box")


def _train(turn: Round, split: Step, facts: Facts) -> Step:
    if turn.run is None:
        state, detail = _without_run(turn, split)
        return Step("train", "train", state, detail, "train")
    state, detail = _of_run(turn.run, None if turn.hears_an_older_run else turn.reeval, facts)
    return Step("train", "train", state, detail, "watch")


def _without_run(turn: Round, split: Step) -> tuple[StepState, str]:
    if turn.reeval is not None:
        return StepState.DONE, f"no run is recorded, but {turn.reeval.folder.name} is scored"
    if turn.base is None or split.state is not StepState.DONE:
        return StepState.BLOCKED, "needs the split (9 sets up the run)"
    return StepState.READY, "press 9 to set up the run and launch it"


def _of_run(run: RunRef, reeval: Cycle | None, facts: Facts) -> tuple[StepState, str]:
    outcome, name = facts.run_outcome, f"{run.name}{f' ({SMOKE})' if is_smoke(run) else ''}"
    if outcome == "running":
        progress = f": {facts.run_progress}" if facts.run_progress else ""
        return StepState.RUNNING, f"press 5 to watch the run {name}{progress}"
    if outcome in _OUTCOMES:
        return StepState.BLOCKED, f"{name} {_OUTCOMES[outcome]}. Press 5 for what to do, 9 for another run"
    if outcome == "finished":
        return StepState.DONE, f"{name} has finished"
    if reeval is not None:
        return StepState.DONE, f"{name} is re-evaluated in {reeval.folder.name}"
    return StepState.READY, f"press 5 to watch the run {name}"


def _reeval(turn: Round, train: Step, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        screen = "leaderboard" if state is StepState.DONE else "evaluate"
        return Step("re-eval", "re-eval", state, detail, screen)

    if facts.evaluates == "re-eval":
        return step(StepState.RUNNING, _evaluates(facts))
    waits = turn.hears_an_older_run and train.state is StepState.DONE
    if turn.reeval is not None and not waits:
        model = turn.reeval.model or "unnamed model"
        return step(StepState.DONE, f"{turn.reeval.folder.name} is scored: {model}")
    if turn.base is None or train.state is not StepState.DONE:
        return step(StepState.BLOCKED, "needs a finished run")
    target = f"cycle{(turn.reeval or turn.base).number + 1}"
    whose = f"the model of {turn.run.name}" if waits and turn.run else "the tuned model"
    return step(StepState.READY, f"press E: {whose} transcribes the same rows, as {target}")


def _evaluates(facts: Facts) -> str:
    return f"transcribing{f': {facts.eval_progress}' if facts.eval_progress else ''} (E shows it)"


def _decide(turn: Round, baseline: Step, reeval: Step, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        return Step("decide", "decide", state, detail, "compare")

    if turn.base is None or turn.reeval is None or reeval.state is not StepState.DONE:
        return step(StepState.BLOCKED, "needs the re-evaluation")
    if baseline.state is not StepState.DONE:
        return step(StepState.BLOCKED, "needs a scored baseline to compare with")
    if facts.verdict is None:
        pair = f"cycle {(turn.before or turn.base).number} with cycle {turn.reeval.number}"
        return step(StepState.READY, f"press 7 to compare {pair}")
    honest = f", the honest one {facts.honest}" if facts.differs else ""
    return step(StepState.DONE, f"the verdict is {facts.verdict}{honest} (7 shows why)")


def _deploy(turn: Round, decide: Step, facts: Facts) -> Step:
    def step(state: StepState, detail: str) -> Step:
        return Step("deploy", "deploy", state, detail, "deploy")

    if decide.state is not StepState.DONE or turn.reeval is None:
        return step(StepState.BLOCKED, "after the decision")
    if turn.reeval.serving is not None:
        return step(*_served(turn.reeval.folder.name, turn.reeval.serving.name, facts))
    if facts.verdict == "keep":
        return step(*_kept(facts))
    if facts.stop:
        return step(StepState.BLOCKED, f"not now: {facts.stop}")
    action = _ACTIONS.get(facts.verdict or "", "the model is not to be kept")
    return step(StepState.BLOCKED, f"not now: {action.format(next=turn.reeval.number + 1)}")


def _served(folder: str, file: str, facts: Facts) -> tuple[StepState, str]:
    """Figures of the service end the turn only where they say that it serves as well as offline."""
    if facts.serving is None:
        return StepState.READY, f"press 8 for what {folder}/{file} shows"
    if facts.serving:
        return StepState.READY, f"{folder}/{file}: {facts.serving}"
    return StepState.DONE, f"{folder}/{file}: it serves as well as offline (8 shows it)"


def _kept(facts: Facts) -> tuple[StepState, str]:
    """A model is handed over from where it is, and after what the honest verdict has against it was seen."""
    against = f"the honest verdict is {facts.honest}: press 7 for why"
    if facts.model_here is False:
        needs = "needs the tuned model: F on Watch fetches it, or o on 8 names one"
        return StepState.BLOCKED, f"{against}; {needs}" if facts.differs else needs
    keep = f"{against} before you keep the model" if facts.differs else "keep the tuned model"
    return StepState.READY, f"{keep}; press 8 for what makes a NIM of it"
