"""The app's store for evaluating: the one that goes on, how far it is, how it ended. No widgets."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from clinasr_tui.desk import Desk
from clinasr_tui.errors import HostKeyError
from clinasr_tui.evaluation.evaluating import Evaluating
from clinasr_tui.messages import EvalChanged, EvalEnded

if TYPE_CHECKING:
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.launch.flow import Progress

_TELL_SECONDS = 0.1
"""Between two messages at least; what they tell of is here."""


class EvalDesk(Desk):
    """Everything screens know of evaluating: one evaluation at a time."""

    evaluating: Evaluating | None = None
    _task: asyncio.Task[Any] | None = None
    _leaves = False
    _told = 0.0

    @property
    def going(self) -> bool:
        """True while one goes on."""
        return self.evaluating is not None and self.evaluating.going

    @property
    def headline(self) -> str:
        """What every screen's title says of it; "" while none goes on."""
        held = self.evaluating
        return held.headline if held is not None and held.going else ""

    @property
    def host(self) -> str | None:
        """The host it goes on at; None without one."""
        held = self.evaluating
        return held.evaluation.host if held is not None and held.going else None

    def facts(self) -> dict[str, Any]:
        """For the stepper."""
        held = self.evaluating
        if held is None or not held.going:
            return {"evaluates": "", "eval_progress": ""}
        fraction = held.now.fraction if held.now is not None and held.counts else None
        progress = "" if fraction is None else f"{fraction:.0%} of the rows"
        return {"evaluates": "baseline" if held.evaluation.baseline else "re-eval", "eval_progress": progress}

    def start(self, evaluation: Evaluation) -> None:
        """Begin one, or go on with it; one at a time."""
        if not self.going:
            self._leaves = False
            self.evaluating = Evaluating(evaluation=evaluation)
            label = evaluation.model.label
            self._start(self._evaluate(self.evaluating), f"evaluate {label}", "evaluate")
            self._post(EvalChanged())

    def cancel(self) -> None:
        """End the one that goes on: what is transcribed is kept, starting it again goes on from there."""
        held = self.evaluating
        if self._task is not None and held is not None and held.going and not held.ending:
            held.ending = True
            self._task.cancel()
            self._post(EvalChanged())

    def leave(self) -> None:
        """From now on an end of following does not end the transcription: it goes on by itself."""
        self._leaves = True

    async def wait(self) -> None:
        """Wait until nothing goes on here."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def forget(self) -> None:
        """Forget one that is over."""
        if not self.going:
            self.evaluating = None
            self._post(EvalChanged())

    async def _evaluate(self, held: Evaluating) -> None:
        self._task = asyncio.current_task()
        again = partial(self.start, held.evaluation)
        try:
            await self._guarded(held, "the evaluation", partial(self._made, held), again)
        finally:
            self._task = None
            held.ending = False
            self._post(EvalChanged())
            if not isinstance(held.error, HostKeyError):  # that is asked about, and gone on with
                self._post(EvalEnded())

    async def _made(self, held: Evaluating) -> None:
        from clinasr_tui.evaluation.evaluate import evaluate
        from clinasr_tui.remote.hosts import open_host

        evaluation = held.evaluation
        ssh = self._ssh(evaluation.host)
        held.done = await evaluate(
            evaluation,
            lambda: open_host(evaluation.host, ssh),
            partial(self._tell, held),
            leaves=lambda: self._leaves,
        )

    def _tell(self, held: Evaluating, now: Progress) -> bool:
        """Note it; screens are told ten times a second at most."""
        new = held.now is None or held.now.step != now.step
        held.take(now)
        moment = time.monotonic()
        if new or moment - self._told >= _TELL_SECONDS:
            self._told = moment
            self._post(EvalChanged())
        return True
