"""What each screen says while there is nothing to show on it, and which key leads on."""

from __future__ import annotations

from clinasr_tui.widgets.empty_state import Missing

_PURPOSES = {
    "manifest": "Here every row is shown with its audio, and what NeMo would stumble over, before money "
    "is spent.",
    "evaluate": "Here a model transcribes a cycle where NeMo is; the transcripts are scored and compared.",
    "gate": "The gate says from a base model's transcripts whether fine-tuning pays, or what to do instead.",
    "train": "A run is set up here from a cycle whose gate passes: settings with their reasons, length and "
    "price.",
    "leaderboard": "Here stand the four metrics, KER by category, and what the model heard instead of each "
    "term.",
    "compare": "Here two cycles stand side by side: all rows and held-out rows, what was fixed and what "
    "broke, and the decision.",
}

NO_RUN = Missing(
    "No fine-tuning run in this workspace yet",
    "Here a run is followed live: phase, loss curve, newest prediction, health, log. One that was started "
    "elsewhere appears once cycle<N>/models/<run>/training_run_info.json names its folder and host.",
    (("3", "the gate: does a run pay?"), ("9", "sets up a run and launches it")),
)
_NO_MODEL = Missing(
    "No tuned model is here yet",
    "A model's decoder decides which Riva NIM serves it. Here stand the commands that build, deploy and "
    "check one, and what to mind.",
    (
        ("5 F", "brings a finished run's model here"),
        ("o", "names a .nemo file of this machine"),
        ("c", "asks a running NIM whether it is ready"),
    ),
)
ONE_CYCLE = Missing(
    "Nothing to compare yet: only one cycle has transcripts",
    _PURPOSES["compare"],
    (("E", "a tuned model transcribes the same rows, as the next cycle"), ("1", "what comes before that")),
)


def no_model(against: str) -> Missing:
    """No tuned model is on this machine; `against` is what speaks against handing one over anyway."""
    return _NO_MODEL._replace(against=against)


def no_manifest(screen_id: str) -> Missing:
    """No cycle has a manifest: the method's stage before this program."""
    return Missing(
        "No cycle has a manifest.jsonl yet",
        _PURPOSES[screen_id],
        (("", "Stage build makes it: terms, synthetic speech, manifest. Put it into cycle1/."),),
    )


def no_transcripts(screen_id: str) -> Missing:
    """No cycle has transcripts: the baseline comes first."""
    return Missing(
        "No cycle has transcripts yet",
        _PURPOSES[screen_id],
        (
            ("E", "the base transcribes the manifest: the baseline"),
            ("", "or put a hosted service's per_sample.json into the cycle's folder"),
        ),
    )
