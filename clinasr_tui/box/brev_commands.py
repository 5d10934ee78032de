"""Every Brev command this program runs, in one place, and what each installed version can do.

The flow is that of the CLI from v0.6.317 on. `brev exec` and `brev copy` are never used: they may run a
command twice, lose exit codes and start stopped boxes. What is installed is probed by `--help`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer

VERSION = ("--version", "--no-check-latest")
LIST = ("ls", "--json")
PROBED = ("search gpu", "create", "ls", "refresh", "ssh-config")
"""Commands whose `--help` tells what the installed CLI takes."""
SECONDS = {"create": 240.0, "stop": 120.0, "start": 120.0, "delete": 120.0, "refresh": 180.0}
"""How long a command may take; others get OTHER_SECONDS."""
OTHER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the installed CLI takes."""

    pinned: bool
    """`search … --json` and `create` with one pinned offer on standard input."""
    published: bool
    """`create NAME --gpu … --disk …`, as the method's text has it."""
    detached: bool
    listing: bool
    """`ls --json`: without it nobody could follow what bills."""
    refresh: tuple[str, ...]
    """The command that writes the ssh entry; () if there is none."""

    @classmethod
    def of(cls, helps: dict[str, str]) -> Capabilities:
        """Read the help texts of PROBED; "" stands for an unknown command."""
        create, search = helps["create"], helps["search gpu"]
        refresh = next((name for name in ("refresh", "ssh-config") if helps[name]), "")
        return cls(
            pinned=_all_in(search, "--gpu-name", "--min-disk", "--json")
            and _all_in(create, "--detached", "--jupyter", "--type"),
            published=_all_in(create, "--gpu", "--disk"),
            detached="--detached" in create,
            listing="--json" in helps["ls"],
            refresh=(refresh,) if refresh else (),
        )


def search(gpu: str, disk_gb: float, *, stoppable: bool) -> tuple[str, ...]:
    """Offers of a GPU with a disk of at least so many GB, cheapest first."""
    only = ("--stoppable",) if stoppable else ()
    wanted = ("--gpu-name", gpu, "--min-disk", f"{disk_gb:g}")
    return ("search", "gpu", *wanted, *only, "--sort", "price", "--json")


def create(name: str, offer: Offer, able: Capabilities) -> tuple[tuple[str, ...], bytes | None]:
    """The command that makes a box, and its standard input.

    An empty list, or none, would have the CLI take the cheapest GPU of any kind, and several offers are
    tried one after the other to dearer ones: so exactly one type is pinned.
    """
    if able.pinned:
        assert offer.type.strip()
        pinned = json.dumps([{"type": offer.type, "target_disk_gb": offer.disk_gb}])
        return ("create", name, "--detached", "--jupyter=false"), pinned.encode() + b"\n"
    detached = ("--detached",) if able.detached else ()
    return ("create", name, "--gpu", offer.type, "--disk", f"{offer.disk_gb:g}gi", *detached), None


def on_box(verb: str, name: str) -> tuple[str, ...]:
    """stop, start or delete one box by its name."""
    assert verb in ("stop", "start", "delete")
    assert name
    return (verb, name)


def _all_in(text: str, *flags: str) -> bool:
    return all(flag in text.replace("=", " ").replace(",", " ").split() for flag in flags)
