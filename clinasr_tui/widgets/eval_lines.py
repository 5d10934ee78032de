"""An evaluation that is being set up, as lines: what it becomes, its settings, one setting's reason."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.errors import ChoiceError, ClinasrError
from clinasr_tui.launch.draft import THIS_MACHINE, Field
from clinasr_tui.text import visible
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.draft_lines import LAUNCH
from clinasr_tui.widgets.figures import Line, heading

if TYPE_CHECKING:
    from clinasr_tui.evaluation.draft import EvalDraft, Standing

_COLUMNS = (Column("", 13), Column("", 0), Column("", 3))
_WHAT = ("model", "general", "only_general", "out_cycle", "again")


def eval_lines(draft: EvalDraft, error: ClinasrError | None) -> list[Line]:
    """The line that starts, then what is transcribed, then where and how; `error` is why it cannot start."""
    fields = {one.name: one for one in draft.fields()}
    against = error.choice if isinstance(error, ChoiceError) else ""
    drawn = {name: Line(name, partial(_line, draft, one, name == against)) for name, one in fields.items()}
    what = [drawn.pop(name) for name in _WHAT if name in drawn]
    start = Line(LAUNCH, partial(_start_line, draft, error))
    return [start, heading("What"), *what, heading("Where and how"), *drawn.values()]


def _line(draft: EvalDraft, field: Field, wrong: bool, width: int) -> Content:
    is_set = draft.is_set(field.name)
    text = visible(draft.text(field.name)) or "…"
    room = width - _COLUMNS[0].width - 1 - (_COLUMNS[2].width + 1 if is_set else 0)
    if "/" in text and len(text) > room > 1:
        text = f"…{text[1 - room :]}"  # the end of a path tells more
    label = Content.styled(f"✖ {field.label}", "bold $bad") if wrong else field.label
    texts: list[Content | str] = [label, Content.styled(text, "bold")]
    if is_set:
        texts.append(Content.styled("set", "bold $accent"))
    return cells(_COLUMNS[: len(texts)], texts, width, gap=1)


def _start_line(draft: EvalDraft, error: ClinasrError | None, width: int) -> Content:
    if error is not None:
        return Content.styled("✖ It cannot be started yet", "bold $bad").truncate(width, ellipsis=True)
    return Content.styled(f"▶ {start_text(draft)}", "bold $accent").truncate(width, ellipsis=True)


def start_text(draft: EvalDraft) -> str:
    """What Enter on the first line does."""
    standing = draft.standing
    if standing is not None and standing.failed and not draft.choices.again:
        return f"Transcribe the {standing.failed} rows without a transcript again"
    verb = (
        "Go on with it"
        if standing is not None and standing.begun and not draft.choices.again
        else "Transcribe"
    )
    return f"{verb} on {visible(draft.text('place'))}" if draft.text("place") else verb


def goal(standing: Standing) -> str:
    """What the transcripts become."""
    evaluation = standing.evaluation
    if evaluation.choices.only_general:
        return f"cycle {evaluation.number}'s general set"
    if evaluation.baseline:
        return f"cycle {evaluation.number}'s own transcripts: the baseline"
    return f"cycle {evaluation.number}"


def eval_facts(draft: EvalDraft, error: ClinasrError | None, *, looking: bool, width: int) -> Content:
    """Rows, model, machine and what becomes of them; then what is to be known before it is started."""
    standing = draft.standing
    head = Content.assemble((f"cycle {draft.cycle.number}", "bold"))
    if error is not None:
        return Content.assemble(head, " · ", ("✖ not ready: see below", "bold $bad"))
    if standing is None or looking:
        return Content.assemble(head, (" · model and rows are being looked at …", "$quiet"))
    evaluation = standing.evaluation
    lines = [
        Content.assemble(
            head, f" · {standing.rows:,} rows", ("  →  ", "bold $accent"), (goal(standing), "bold")
        ),
        Content.assemble(
            ("heard by ", "$quiet"),
            (visible(evaluation.model.label), "bold"),
            (" on ", "$quiet"),
            (visible(evaluation.host or THIS_MACHINE), "bold"),
            f" · {evaluation.backend} · {draft.text('cpu')}",
        ),
    ]
    lines += [Content.styled(f"▲ {line}", "$warning") for line in remarks(draft, standing)]
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def remarks(draft: EvalDraft, standing: Standing) -> list[str]:
    """What an operator should know of it."""
    evaluation, found = standing.evaluation, []
    again = draft.choices.again
    if standing.failed and not again:
        found.append(f"it is made, but {standing.failed} rows have no transcript: Enter does just those")
    elif standing.made and not again:
        found.append("it is made already: there is nothing to do")
    elif standing.begun and not again:
        found.append("an earlier start was not finished: Enter goes on, no row is done twice")
    if standing.lacks_nemo:
        found.append("this program's Python has no NeMo: name the one that has it (Python, below)")
    if evaluation.is_of_unknown_run:
        found.append("its run is not known: held-out rows are those of the newest split")
    if evaluation.lacks_general:
        found.append("forgetting needs the base's transcripts of the general set, too")
    return found


def eval_reason(draft: EvalDraft, name: str, error: ClinasrError | None) -> Content:
    """A field's reason; of the line that starts, what will happen, or why nothing can."""
    if name == LAUNCH:
        return _what_happens(draft) if error is None else Content(visible(str(error.in_form())))
    field = next((one for one in draft.fields() if one.name == name), None)
    if field is None:
        return Content("")
    value = visible(draft.text(name)) or "…"
    origin = "Set by you (Backspace takes what is proposed)." if draft.is_set(name) else ""
    return Content.assemble(
        (field.label, "bold"),
        "  ",
        (value, "bold $accent"),
        f"\n{field.why}\n",
        (origin, "$quiet"),
    )


def _what_happens(draft: EvalDraft) -> Content:
    model, place = visible(draft.model.label), visible(draft.text("place") or "its machine")
    first = draft.standing is not None and draft.standing.evaluation.baseline
    then = "scored: the baseline every later model is compared with" if first else "scored and compared"
    return Content.assemble(
        ("What Enter does\n", "bold"),
        f"NeMo on {place} transcribes every row with {model}; what it needs is sent. The rows are {then}."
        "\n\n",
        (
            "It runs by itself: other screens, a lost connection or leaving this program do not hurt it, and "
            "no row is done twice.",
            "$quiet",
        ),
    )
