"""Names of the hosts an ssh config knows: what an operator can choose from."""

from __future__ import annotations

import shlex
from pathlib import Path

from clinasr_tui.text import typed_path

_DEEPEST = 8
_LARGEST = 1 << 20


def host_names(config: Path | None = None) -> tuple[str, ...]:
    """Aliases of the `Host` lines, in their order, without patterns; `Include` is followed.

    `config` None means ~/.ssh/config. What cannot be read names no host: connecting says why.
    """
    found: dict[str, None] = {}
    _collect(config or Path.home() / ".ssh/config", found, 0)
    return tuple(found)


def _collect(path: Path, found: dict[str, None], depth: int) -> None:
    if depth > _DEEPEST:
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read(_LARGEST).splitlines()
    except OSError:
        return
    for line in lines:
        keyword, words = _parsed(line)
        if keyword == "host":
            found.update((word, None) for word in words if not any(sign in word for sign in "*?!"))
        elif keyword == "include":
            for word in words:
                # Relative names start at ~/.ssh, wherever the file is, as ssh itself reads them.
                place = Path.home() / ".ssh" / typed_path(word)
                for name in sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor)))):
                    _collect(name, found, depth + 1)


def _parsed(line: str) -> tuple[str, list[str]]:
    """A line's keyword in lower case and its words; `Keyword=word` is also written."""
    keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
    if not keyword or keyword.startswith("#"):
        return "", []
    try:
        return keyword.lower(), shlex.split(rest)
    except ValueError:
        return "", []
