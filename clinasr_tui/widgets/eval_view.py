"""An evaluation as it goes and how it ended: steps, bar, figures before and after, what to do next."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.evaluation.evaluate import SCORING
from clinasr_tui.evaluation.told import TRANSCRIBING
from clinasr_tui.evaluation.transcription import CONTACT, FETCHING
from clinasr_tui.launch.draft import THIS_MACHINE
from clinasr_tui.launch.flow import Step
from clinasr_tui.launch.plan import Backend
from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import change_style, interval_text, percent_text, score_text
from clinasr_tui.widgets.launch_steps import launch_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.evaluation.evaluating import Evaluating
    from clinasr_tui.evaluation.rows import Untranscribed
    from clinasr_tui.flywheel.comparison import Slice

_NAMED = 3
"""Rows without a transcript that are named; eval_info.json names all."""
_ACCENT, _BAD, _QUIET = "bold $accent", "bold $bad", "$quiet"
_VERDICTS = {"keep": "KEEP", "grow": "GROW", "worse": "WORSE", "unchanged": "NO CHANGE"}


def title(held: Evaluating) -> str:
    """What is evaluated, where, and what it becomes."""
    evaluation = held.evaluation
    what = f"{visible(evaluation.model.label)} on {visible(evaluation.host or THIS_MACHINE)}"
    return f"{what} → cycle {evaluation.number}"


def going_view(held: Evaluating, width: int) -> Content:
    """The steps so far, the bar, how many rows at which speed, and the keys."""
    evaluation, parts = held.evaluation, []
    if held.parts > 1:
        which = "the general set" if held.part else f"cycle {evaluation.cycle.number}'s rows"
        parts.append(Content.styled(f"part {held.part + 1} of {held.parts}: {which}\n", "bold"))
    steps = _steps(held)
    now = held.now
    words = _words(held, steps)
    detail = now.text.replace(", ", " · ") if now is not None and now.step in (TRANSCRIBING, CONTACT) else ""
    fraction = now.fraction if now is not None else None
    parts.append(
        launch_steps(steps, words, fraction, held.left, going=True, width=width, detail=detail),
    )
    if held.ending:
        below = Content.styled("■ It is told to end; what is transcribed is kept …", _ACCENT)
    else:
        ends = "stops following" if held.out_of_contact else "ends it"
        below = Content.assemble(
            ("Esc", _ACCENT),
            f" {ends}, after asking: what is transcribed is kept.\n",
            ("Other screens go on meanwhile; the title line says how far it is, E comes back here.", _QUIET),
        )
    return Content("\n").join([*parts, Content(""), below])


def _steps(held: Evaluating) -> list[str]:
    """Every step of the part that goes on."""
    image = [Step.IMAGE] if held.evaluation.backend is Backend.DOCKER else []
    last = [SCORING] if held.part + 1 >= held.parts else []
    return [str(one) for one in (Step.LOOK, *image, Step.SEND, Step.START, TRANSCRIBING, FETCHING, *last)]


def _words(held: Evaluating, steps: Sequence[str]) -> list[str]:
    """What is said of each step so far; of one that was not needed, that."""
    if held.now is None:
        return []
    told = {now.step: now.text for now in held.steps}
    step = TRANSCRIBING if held.now.step == CONTACT else held.now.step
    reached = list(steps)[: steps.index(step) + 1] if step in steps else []
    words = ["" if one == TRANSCRIBING else told.get(one, "not needed") for one in reached]
    if words and step == TRANSCRIBING:
        words[-1] = ""
    return words


def over_view(held: Evaluating, width: int) -> Content:
    """How it ended, and the keys that lead on."""
    if held.error is not None:
        lines = wrap(f"✖ {visible(str(held.error))}", max(20, width), break_on_hyphens=False)
        again = "goes on: what was transcribed is kept" if held.began else "tries it again"
        told = [Content.styled(line, _BAD) for line in lines]
        return Content("\n").join([*told, Content(""), _keys(("r", again), _BACK)])
    if held.done is None:
        return _cancelled(held)
    return Content("\n").join([*_made(held), *_lost(held), Content(""), _next(held)])


_BACK = ("Esc", "back to the settings")


def _keys(*keys: tuple[str, str]) -> Content:
    parts = [Content.assemble((key, _ACCENT), f" {what}") for key, what in keys]
    return Content("   ").join(parts)


def _cancelled(held: Evaluating) -> Content:
    now = held.now
    if held.out_of_contact:
        what = "■ Not followed any more. Contact was lost: it goes on there."
        key = ("r", "follows it again")
    else:
        rows = f" ({visible(now.text.split(',')[0])})" if now is not None and held.counts and now.text else ""
        what = f"■ Ended. What is transcribed is kept{rows}: the next start goes on with the next row."
        key = ("r", "goes on now")
    return Content.assemble((what, _ACCENT), "\n\n", _keys(key, _BACK))


def _made(held: Evaluating) -> list[Content]:
    evaluation, done = held.evaluation, held.done
    assert done is not None
    label, name = visible(evaluation.model.label), f"cycle {done.number}"
    if evaluation.choices.only_general:
        return [Content.assemble(("✔ ", "bold $good"), f"{name} has its general set, by {label}")]
    what = (
        f"{name} has its own transcripts, by {label}"
        if evaluation.baseline
        else f"{name} is made, by {label}"
    )
    if done.was_there:
        what += ": it was there already, nothing was transcribed"
    lines = [Content.assemble(("✔ ", "bold $good"), (what, "bold")), Content("")]
    if held.change is not None:
        lines += _change("all rows", held.change.every)
        lines += _change("held-out rows", held.change.held_out) if held.change.held_out else []
        lines += [Content(""), *_verdict(held)]
    elif held.board is not None:
        ker, interval = held.board.metrics["ker"], interval_text(held.board.ker_interval)
        lines.append(
            Content.assemble(
                "KER ★ ",
                (score_text(ker), "bold"),
                (f"  95 % {interval}", _QUIET),
                f"  n {held.board.ker_rows}",
            )
        )
    elif held.is_unread:
        lines.append(Content.styled("✖ no figures: Leaderboard (6) and Compare (7) say why", _BAD))
    else:
        lines.append(Content.styled("scoring and comparing …", _QUIET))
    return lines


def _change(which: str, part: Slice) -> list[Content]:
    ker = part.headline.get("ker")
    if ker is None:
        return []
    style = change_style(ker.delta)
    return [
        Content.assemble(
            f"KER ★ {score_text(ker.a)} → ",
            (score_text(ker.b), "bold"),
            (f"  {percent_text(ker.relative):>7}", style),
            (f"  {which} (n {ker.n}), 95 % of Δ {interval_text(ker.ci95, signed=True)}", _QUIET),
        )
    ]


def _verdict(held: Evaluating) -> list[Content]:
    change = held.change
    assert change is not None
    judgement = change.judgement
    published = Content.assemble((_VERDICTS[change.verdict], "bold"), f"  {visible(change.action)}")
    if judgement is None or not judgement.differs:
        return [published]
    honest = Content.assemble(("✖ ", _BAD), (visible(judgement.beside), "bold"))
    return [honest, Content.assemble(("by the published table alone: ", "$quiet"), published)]


def _lost(held: Evaluating) -> list[Content]:
    assert held.done is not None
    rows = [*held.done.untranscribed, *held.done.general_untranscribed]
    lines = [Content.styled(f"▲ {visible(line)}", "$warning") for line in held.done.notes]
    if rows:
        lines += [
            Content(""),
            Content.styled(f"▲ {len(rows)} rows have no transcript and are in no figure:", _BAD),
        ]
        lines += [_row(row) for row in rows[:_NAMED]]
        if len(rows) > _NAMED:
            lines.append(
                Content.styled(f"  and {len(rows) - _NAMED} more; eval_info.json names them", _QUIET)
            )
    return lines


def _row(row: Untranscribed) -> Content:
    return Content.assemble(
        f"  line {row.line}, {visible(row.audio_filepath)}: ", (visible(row.error), "bold")
    )


def _next(held: Evaluating) -> Content:
    assert held.done is not None
    keys = []
    if held.evaluation.baseline:
        keys.append(("3", "gate"))
    elif not held.evaluation.choices.only_general:
        keys.append(("7", "compare"))
    every = _keys(*keys, ("Esc", "another evaluation"))
    if held.done.untranscribed or held.done.general_untranscribed:
        every = Content("\n").join(
            [_keys(("r", "transcribes just those rows again, once that is mended")), every]
        )
    return every


def ended_text(held: Evaluating) -> str:
    """One line for an operator who looks elsewhere."""
    if held.error is not None:
        return f"the evaluation failed: {held.error.what}. E shows it"
    if held.done is None:
        return "the evaluation was ended"
    name = f"cycle {held.done.number}"
    failed = len(held.done.untranscribed) + len(held.done.general_untranscribed)
    lost = f"; {failed} rows have no transcript (E)" if failed else ""
    if held.change is not None:
        parts = [("KER", held.change.every), ("held-out", held.change.held_out)]
        told = ", ".join(
            f"{word} {score_text(part.headline['ker'].a)} → {score_text(part.headline['ker'].b)}"
            for word, part in parts
            if part is not None and "ker" in part.headline
        )
        return f"{name}: {told}{lost}. 7 compares"
    if held.board is not None:
        return f"{name}: KER {score_text(held.board.metrics['ker'])}{lost}. 3 is the gate"
    return f"{name} is evaluated{lost}"
