"""The standing of a base that is a .nemo file here: by its config, not its name alone (method, section 4)."""

from __future__ import annotations

from dataclasses import replace

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.bases import DEFAULT_BASE, BaseStanding, Standing, base_standing
from clinasr_tui.flywheel.nemo_file import Decoder, read_nemo
from clinasr_tui.flywheel.recipe import Objection
from clinasr_tui.text import typed_path

_STREAMING = (
    "its config is a cache-aware streaming encoder's, and SFT of such a base collapses to all-UNK after the "
    "first step; do not retry it with other hyperparameters"
)
_NO_DECODER = "its config names neither CTC, RNNT nor TDT: the recipe tunes no other model"


def standing_of(base: str) -> BaseStanding:
    """As `base_standing`, and a .nemo file that is here is looked into.

    A streaming, an unreadable and an unknown model are refused; of others the decoder, the tokens and the
    sample rate are told. Reads a file: some 30 ms.
    """
    from clinasr_tui.flywheel.deployment import described

    standing = base_standing(base)
    path = typed_path(base.strip())
    if path.suffix.lower() != ".nemo" or not standing.allowed or not path.is_file():
        return standing
    try:
        model = read_nemo(path)
    except InputError as error:
        return _refused(standing, f"it cannot be used: {error.what}.")
    standing = replace(standing, tdt=model.tdt)
    if model.streaming:
        return _refused(standing, f"{_STREAMING}.")
    if model.decoder is Decoder.UNKNOWN:
        return _refused(standing, f"{_NO_DECODER}.")
    return replace(standing, reason=f"{standing.reason} It is {described(model)}.")


def cpu_objection(standing: BaseStanding) -> Objection | None:
    """What speaks against training a base on a CPU: NeMo has a TDT loss for CUDA only.

    Fatal where the base's file says what its loss is, a guess by the name elsewhere; None where nothing does.
    """
    if standing.tdt:
        return Objection("cpu", "this base has a TDT loss, which NeMo has for CUDA only: take a GPU", True)
    if standing.tdt is None and "tdt" in standing.name.lower():
        guess = "by its name a TDT base, whose loss NeMo has for CUDA only: on a CPU take a CTC or RNNT base"
        return Objection("cpu", guess, False)
    return None


def _refused(standing: BaseStanding, why: str) -> BaseStanding:
    reason = f"Refused by what is in the file: {why}"
    return replace(standing, standing=Standing.REFUSED, reason=reason, substitute=DEFAULT_BASE)
