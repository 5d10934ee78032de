"""Text from manifests, models and logs is untrusted: make it safe to show. And paths as they are typed.

Control characters and escape sequences become visible pictures (U+2400 block), so that no
recorded byte can move the cursor, change the title or colour the operator's terminal.
"""

from __future__ import annotations

import re
from pathlib import Path

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)}
_PICTURES[0x7F] = "\u2421"
_PICTURES.update({code: f"\\x{code:02x}" for code in range(0x80, 0xA0)})
# Line separators break lines; bidirectional overrides and isolates make one text read as another.
_PICTURES.update({code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))})
# A surrogate on its own (from an escape in JSON) cannot be written to a terminal at all.
_SURROGATES = range(0xD800, 0xE000)
_PICTURES.update({code: f"\\u{code:04x}" for code in _SURROGATES})
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def visible(text: str) -> str:
    """Return `text` on one line with every control character made visible."""
    return text.translate(_PICTURES) if _UNSAFE.search(text) else text


def size_text(size: int) -> str:
    """Bytes as they are read: `12.3 MB`."""
    unit, name = next((one for one in _UNITS if size >= one[0]), _UNITS[-1])
    return f"{size / unit:,.1f} {name}"


def typed_path(text: str | Path) -> Path:
    """A path as it was typed: `~` is the home folder; that of a user who is not known stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
