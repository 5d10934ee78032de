"""What a run is doing, in one line, and what is wrong with it, loud: status, contact, health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.flywheel.cost import money
from clinasr_tui.flywheel.run_marks import SMOKE
from clinasr_tui.text import visible
from clinasr_tui.training.snapshot import Level, Outcome, Phase
from clinasr_tui.widgets.figures import score_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.training.snapshot import Alert, RunSnapshot

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_BAR_WIDTH, _SHORT_BAR = 16, 6
_PHASES = {
    Phase.QUEUED: "in Slurm's queue",
    Phase.WAITING: "waiting for the run to write something",
    Phase.PULLING: "pulling the container",
    Phase.LOADING: "loading model and data",
    Phase.SLEEPING: "sleeping: NeMo waits 60 s or more for the model download",
    Phase.TRAINING: "training",
    Phase.VALIDATING: "validating",
    Phase.SAVING: "saving a checkpoint",
    Phase.FINISHED: "finished",
    Phase.FAILED: "failed",
}
_STATES = {phase: text.partition(":")[0] for phase, text in _PHASES.items()}
_STATES[Phase.WAITING] = "waiting"
_OUTCOMES = {
    Outcome.FINISHED: ("✔ finished", "bold $good"),
    Outcome.FAILED: ("✖ failed", "bold $bad"),
    Outcome.INTERRUPTED: ("✖ interrupted", "bold $bad"),
    Outcome.DIVERGED: ("✖ diverged", "bold $bad"),
}
_SIGNS = {Level.ERROR: "✖", Level.WARNING: "▲", Level.INFO: "i"}
_STYLES = {Level.ERROR: "bold $bad", Level.WARNING: "bold $warning", Level.INFO: "$quiet"}


def clock(seconds: float) -> str:
    """A length of time as a clock shows it: `0:09`, `12:30`, `1:02:03`."""
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_bar(fraction: float, width: int = _BAR_WIDTH) -> str:
    """A bar in eighths of a cell between two edges: `▕████▋   ▏`."""
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    return f"▕{('█' * full + _EIGHTHS[part]).ljust(width)}▏"


def status_line(
    snapshot: RunSnapshot, name: str, cost: float | None = None, *, smoke: bool = False
) -> Content:
    """`sft3 · epoch 2/3 ▕███▌ ▏ step 112/150 · 4.2 it/s · ETA 0:09 · $0.03 so far`; `cost` in dollars.

    `smoke` marks a run that only a typed override let through the gate.
    """
    parts = [Content.styled(visible(name), "bold")]
    if smoke:
        parts.append(Content.styled(SMOKE, "bold $bad"))
    ended = _OUTCOMES.get(snapshot.outcome)
    if ended:
        parts.append(Content.styled(*ended))
    elif snapshot.phase is not Phase.TRAINING or snapshot.epoch is None:
        queued = snapshot.phase is Phase.QUEUED
        parts.append(Content(visible(snapshot.headline) if queued else _PHASES[snapshot.phase]))
    if ended and cost is not None:
        parts.append(Content(money(cost)))
    # With a cost there is no room for the epoch of a finished run; the steps tell the same.
    if snapshot.epoch is not None and not (cost is not None and snapshot.outcome is Outcome.FINISHED):
        epochs = f"/{snapshot.max_epochs}" if snapshot.max_epochs else ""
        parts.append(Content(f"epoch {snapshot.epoch + 1}{epochs}"))
    if snapshot.step is not None:
        width = 0 if ended else _BAR_WIDTH if cost is None else _SHORT_BAR
        parts.append(_steps(snapshot.step + 1, snapshot.max_steps, width))
    if ended:
        parts += _ending(snapshot)
    else:
        if snapshot.seconds_per_step:
            parts.append(Content(_rate(snapshot.seconds_per_step)))
        if snapshot.eta_seconds is not None:
            parts.append(Content(f"ETA {clock(snapshot.eta_seconds)}"))
        if cost is not None:
            parts.append(Content(f"{money(cost)} so far"))
    return Content.styled(" · ", "$quiet").join(parts)


def state_text(snapshot: RunSnapshot, *, brief: bool = False) -> Content:
    """A run in few words: `epoch 2/3 · ETA 0:09`, `✔ finished · val WER .037`, `✖ diverged · ✖ nan_loss`.

    `brief` leaves out the validation WER where there is an alert.
    """
    loud = bool(snapshot.health) and snapshot.health[0].severity is not Level.INFO
    ended = _OUTCOMES.get(snapshot.outcome)
    parts = [Content.styled(*ended) if ended else Content(_STATES[snapshot.phase])]
    if snapshot.epoch is not None and not ended:
        epochs = f"/{snapshot.max_epochs}" if snapshot.max_epochs else ""
        parts = [Content(f"epoch {snapshot.epoch + 1}{epochs}")]
    if snapshot.eta_seconds is not None and not ended:
        parts.append(Content(f"ETA {clock(snapshot.eta_seconds)}"))
    if snapshot.val_wer and not (brief and loud):
        parts.append(Content(f"val WER {score_text(snapshot.val_wer[-1][1])}"))
    if loud:
        worst = snapshot.health[0]
        parts.append(Content.styled(f"{_SIGNS[worst.severity]} {worst.id}", _STYLES[worst.severity]))
    return Content.styled(" · ", "$quiet").join(parts)


def _steps(done: int, of: int | None, width: int) -> Content:
    if not of or not width:
        return Content(f"step {done}/{of}" if of else f"step {done}")
    return Content.assemble((progress_bar(done / of, width), "$primary"), f" step {done}/{of}")


def _rate(seconds: float) -> str:
    return f"{1 / seconds:.1f} it/s" if seconds <= 1 else f"{seconds:.1f} s/it"


def _ending(snapshot: RunSnapshot) -> list[Content]:
    parts = []
    if snapshot.exit_code is not None:
        parts.append(Content(f"exit code {snapshot.exit_code}"))
    if snapshot.val_wer and snapshot.outcome is Outcome.FINISHED:
        best = min(value for _, value in snapshot.val_wer)
        parts.append(Content(f"val WER {score_text(snapshot.val_wer[-1][1])} (best {score_text(best)})"))
    return parts


COMPARE_NEXT = "compare the cycles (7)"
REEVALUATE_NEXT = "evaluate the new model (E)"


def healthy_line(snapshot: RunSnapshot, then: str = COMPARE_NEXT) -> Content:
    """`✔ healthy · 200 files, none dropped`; `then` is what comes after the run's end."""
    waits = snapshot.phase in (Phase.QUEUED, Phase.WAITING) and not snapshot.points
    if snapshot.outcome is Outcome.UNKNOWN or waits:
        return Content.styled("nothing to judge yet", "$quiet")
    parts = [Content.styled("✔ healthy", "bold $good")]
    if snapshot.train_files is not None:
        dropped = f"{snapshot.filtered_files} dropped" if snapshot.filtered_files else "none dropped"
        parts.append(Content(f"{snapshot.train_files} files, {dropped}"))
    if snapshot.outcome is Outcome.FINISHED:
        parts.append(Content.styled(f"finished; next: {then}", "bold"))
    return Content.styled(" · ", "$quiet").join(parts)


def alert_lines(alert: Alert) -> Content:
    """An alert with what to do, on two lines or more."""
    return Content.assemble(
        (f"{_SIGNS[alert.severity]} ", _STYLES[alert.severity]),
        (visible(alert.message), _STYLES[alert.severity]),
        "\n",
        (f"→ {visible(alert.remedy)}" if alert.remedy else "", "$foreground"),
    ).rstrip()


def contact_line(
    name: str, *, connecting: bool, lost: bool, retry_in: float | None, error: str, paused: bool = False
) -> Content:
    """State of the connection to host `name` where it is not simply good; empty if it is.

    `paused`: this machine's disk is full, following waits for room. `error` is the line of what ended
    following: it needs the operator (key r tries again).
    """
    if error:
        return Content.assemble(("✖ ", "bold $bad"), (visible(error), "$bad"), ("  r: try again", "bold"))
    if lost:
        again = f"; retry in {max(round(retry_in), 0)} s" if retry_in is not None else ""
        return Content.assemble(
            ("▲ contact lost", "bold $warning"),
            (f" ({visible(name)}); the run itself goes on{again}", "$warning"),
        )
    if paused:
        return Content.styled(
            "▲ following waits: this machine's disk is full; the run itself goes on", "$warning"
        )
    if connecting:
        return Content.styled(f"connecting to {visible(name)} …", "$quiet")
    return Content("")


class StatusLine(Widget):
    """One line that is cut where it is too long and drawn again only if it differs."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._line = Content("")

    def show(self, line: Content) -> None:
        """Show a line; drawn only if it differs."""
        if not line.is_same(self._line):
            self._line = line
            self.refresh()

    def render(self) -> Content:
        """The line, cut to the width."""
        return self._line.truncate(self.content_size.width, ellipsis=True)


class ContactLine(StatusLine):
    """A line that wraps: what a lost or refused connection asks of the operator must be read whole."""

    DEFAULT_CSS = """
    ContactLine { height: auto; max-height: 4; padding: 0 1; }
    """

    def show(self, line: Content) -> None:
        """Show a line, or nothing at all without one."""
        self.display = bool(line)
        if not line.is_same(self._line):
            self._line = line
            self.refresh(layout=True)

    def render(self) -> Content:
        """The whole line."""
        return self._line


class HealthLines(Widget):
    """The health of a run: one quiet line while it is well, the loudest thing on the screen if not.

    `expanded` lists every alert; else the worst is shown and the others are counted.
    """

    DEFAULT_CSS = """
    HealthLines {
        height: auto; max-height: 14; padding: 0 1; margin: 0;
        &.-warning { border-left: thick $warning; background: $warning 15%; }
        &.-error { border-left: thick $error; background: $error 20%; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._snapshot: RunSnapshot | None = None
        self._then = COMPARE_NEXT
        self._content = Content("")
        self.expanded = False

    def show(self, snapshot: RunSnapshot, then: str = COMPARE_NEXT) -> None:
        """Show a snapshot's health, `then` what comes after its end; laid out again only if it differs."""
        self._snapshot, self._then = snapshot, then
        alerts = snapshot.health
        # The reader gives errors first.
        worst = alerts[0].severity if alerts else None
        self.set_class(worst is Level.ERROR, "-error")
        self.set_class(worst is Level.WARNING, "-warning")
        content = self._compose_lines(snapshot, alerts)
        if not content.is_same(self._content):
            self._content = content
            self.refresh(layout=True)

    def toggle(self) -> None:
        """List every alert, or only the worst."""
        self.expanded = not self.expanded
        if self._snapshot is not None:
            self.show(self._snapshot, self._then)

    def _compose_lines(self, snapshot: RunSnapshot, alerts: Sequence[Alert]) -> Content:
        if not alerts:
            return healthy_line(snapshot, self._then)
        if self.expanded:
            return Content("\n").join(alert_lines(alert) for alert in alerts)
        first = alert_lines(alerts[0])
        more = len(alerts) - 1
        if not more:
            return first
        names = ", ".join(alert.id for alert in alerts[1:])
        return Content.assemble(first, "\n", (f"  and {more} more: {names} (a: list)", "$quiet"))

    def render(self) -> Content:
        """The lines, wrapped."""
        return self._content
