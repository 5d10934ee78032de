"""What the Deploy screen shows: the model's facts, the commands, what to mind and what to check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.flywheel.deploy_script import checklist
from clinasr_tui.flywheel.deployment import described
from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import Line, interval_text, score_text, signed_text

if TYPE_CHECKING:
    from clinasr_tui.flywheel.deploy_script import DeployCommand
    from clinasr_tui.flywheel.deployment import Deployment
    from clinasr_tui.flywheel.served import Served
    from clinasr_tui.remote.nim_health import NimHealth

_MIND, _AFTER = "mind", "check"
_NO_MODEL = "No tuned model is here: F on Watch fetches a run's, o names one."
_NARROW = 24
"""Below this width an entry is its name alone."""


@dataclass(slots=True)
class Handover:
    """What is known of the model in view; None and "" for what is not."""

    plan: Deployment | None = None
    commands: tuple[DeployCommand, ...] = ()
    name: str = ""
    """The model's path as it is shown."""
    origin: str = ""
    """Where the model comes from."""
    offline: str = ""
    """The folder of the cycle with the offline figures, as it can be named in the current one."""
    blocked: str = ""
    """Why it should not be deployed now."""
    health: NimHealth | None = None
    serves: str = ""
    """The service's transcripts as they are shown, where there are any."""
    serving: Served | None = None
    """What they say; None while they are not read."""

    @property
    def is_empty(self) -> bool:
        """True if no model was named or found, no service was asked and none has transcribed."""
        return not (self.name or self.health or self.serves)

    def command(self, key: str) -> DeployCommand | None:
        """The command of an entry."""
        return next((one for one in self.commands if one.id == key), None)

    def text_of(self, key: str) -> str:
        """What copying an entry gives: a command as a line for a shell, else the lines."""
        found = self.command(key)
        if found is not None:
            return found.shell
        return "\n".join(self._lines(key))

    def title_of(self, key: str) -> str:
        """The title over an entry in full."""
        found = self.command(key)
        if found is None:
            return {_MIND: "What to mind", _AFTER: "What to check afterwards"}.get(key, "")
        return f"{found.id}: {found.does}"

    def _lines(self, key: str) -> tuple[str, ...]:
        if self.plan is None or self.plan.refused:
            return ()
        return self.plan.warnings if key == _MIND else checklist(self.offline) if key == _AFTER else ()


def model_content(view: Handover, width: int) -> Content:
    """Path, what the file says of itself, what that means for Riva, and what speaks against it."""
    lines = [*_model(view, width)]
    if view.blocked:
        lines += _wrapped(view.blocked, width, "$bad", mark="✖ ")
    lines += [*_health(view.health, width), *_serving(view, width)]
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def _model(view: Handover, width: int) -> list[Content]:
    plan = view.plan
    if plan is None:
        return [] if view.name else _wrapped(_NO_MODEL, width, "$quiet")
    lines = [
        Content.assemble((visible(view.name), "bold"), "  ", (visible(view.origin), "$quiet")),
        Content.assemble(("holds  ", "$quiet"), visible(described(plan.model))),
    ]
    if plan.family is None:
        lines += _wrapped(f"not to be handed over: {plan.refused}.", width, "bold $bad", mark="✖ ")
    else:
        facts = f"{plan.family.name}, decoder={plan.family.riva_decoder}, image {plan.container_id}"
        lines.append(Content.assemble(("NIM    ", "$quiet"), (visible(facts), "bold")))
        lines += _wrapped(plan.warnings[0], width, "$accent", mark="! ")
    return lines


def entry_lines(view: Handover, *, all_in_sight: bool) -> list[Line]:
    """A line a command; then what to mind and to check, unless both are `all_in_sight` elsewhere."""
    if not view.commands:
        return []
    entries = [(one.id, f"{number} {one.id}", one.does) for number, one in enumerate(view.commands, 1)]
    if not all_in_sight and view.plan is not None:
        entries.append((_MIND, "! mind", "what goes wrong without a word"))
        entries.append((_AFTER, "→ check", "what to check once it serves"))
    return [Line(key, partial(_entry, name, does)) for key, name, does in entries]


def detail_content(view: Handover, key: str, width: int) -> Content:
    """An entry in full: the command as it would be typed, or its lines."""
    found = view.command(key)
    if found is not None:
        lines = [visible(line) for line in found.lines(width - 2)]
        return Content("\n").join(
            Content.assemble(line, (" \\", "$quiet") if place < len(lines) - 1 else "")
            for place, line in enumerate(lines)
        )
    return _listed(view.text_of(key).splitlines(), width)


def more_content(view: Handover, width: int) -> Content:
    """What to mind and what to check, together."""
    parts = [view.text_of(key).splitlines() for key in (_MIND, _AFTER)]
    return Content("\n").join(
        [_listed(parts[0], width, mark="! "), *([_listed(parts[1], width, mark="→ ")] if parts[1] else [])]
    )


def _entry(name: str, does: str, width: int) -> Content:
    if width < _NARROW:
        return Content.styled(name, "bold")
    return Content.assemble((f"{name:<11}", "bold"), (does, "$quiet")).truncate(width, ellipsis=True)


def _listed(lines: Iterable[str], width: int, *, mark: str = "· ") -> Content:
    return Content("\n").join(part for line in lines for part in _wrapped(line, width, "", mark=mark))


def _wrapped(text: str, width: int, style: str, *, mark: str = "") -> list[Content]:
    parts = wrap(visible(text), max(10, width - len(mark)), break_on_hyphens=False)
    return [
        Content.styled((mark if place == 0 else " " * len(mark)) + part, style)
        for place, part in enumerate(parts)
    ]


def _health(health: NimHealth | None, width: int) -> list[Content]:
    if health is None:
        return []
    if health.ready:
        return _wrapped(f"{health.address} is ready", width, "bold $good", mark="✔ ")
    text = f"{health.address} is not ready: it answers {health.status}, {health.said}"
    return _wrapped(text, width, "bold $bad", mark="✖ ")


def _serving(view: Handover, width: int) -> list[Content]:
    """The service's KER and WER beside the offline ones, and what follows from them."""
    if not view.serves:
        return []
    found = view.serving
    if found is None:
        return [Content.assemble(("served ", "$quiet"), visible(view.serves), ("  not read", "$quiet"))]
    change = found.change
    parts: list[Content | str | tuple[str, str]] = [("served ", "$quiet")]
    for place, name in enumerate(("ker", "wer")):
        one = change.every.headline.get(name)
        if one is not None:
            parts += [
                "  " if place else "",
                f"{name.upper()} {score_text(one.a)} → ",
                (score_text(one.b), "bold"),
            ]
            if name == "ker":
                interval = interval_text(one.ci95, signed=True)
                parts.append((f" ({signed_text(one.delta)}, 95 % {interval})", "$quiet"))
    parts.append((f"  n {change.every.rows}", "$quiet"))
    style, mark = ("$good", "✔ ") if found.as_well else ("bold $bad", "✖ ")
    return [Content.assemble(*parts), *_wrapped(f"{view.serves}: {found.clause}", width, style, mark=mark)]
