"""Causes of trouble that a line of a log names: health id and the words that prove it."""

from __future__ import annotations

import re

# In order: a line that fits several causes has the first.
_CAUSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "shm",
        re.compile(
            r"insufficient shared memory|unable to (?:allocate|open|mmap|write)[^:]*(?:/torch_|shared memory)"
            r"|DataLoader worker \(pid.*killed by signal: Bus error|/dev/shm.*No space left",
            re.IGNORECASE,
        ),
    ),
    ("disk_full", re.compile(r"No space left on device|Disk quota exceeded|\[Errno 28\]")),
    (
        "oom",
        re.compile(
            r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory"
            r"|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|can't allocate memory|MemoryError"
            r"|DataLoader worker \(pid.*killed by signal: Killed"
        ),
    ),
    (
        "missing_audio",
        re.compile(
            r"(?:No such file or directory: |Error opening )['\"][^'\"]+"
            r"\.(?:wav|flac|mp3|ogg|opus|m4a|sph|aac|webm)['\"]",
            re.IGNORECASE,
        ),
    ),
    (
        "bad_manifest",
        re.compile(
            r"JSONDecodeError|Failed to parse (?:line|some lines|\d+ lines)"
            r"|invalid json line structure|No such file or directory: ['\"][^'\"]+\.jsonl?['\"]"
        ),
    ),
)
_ANY = re.compile("|".join(pattern.pattern for _, pattern in _CAUSES), re.IGNORECASE)
_QUOTED_FILE = re.compile(r"(?:No such file or directory: |Error opening )['\"]([^'\"]+)['\"]")
_OWN_MEMORY = re.compile(r"this process has ([\d.]+) ([MG]iB) memory in use")
_OTHER_MEMORY = re.compile(r"Process (\d+) has ([\d.]+) ([MG]iB) memory in use")
_CAPACITY = re.compile(r"total capacity of ([\d.]+ [MG]iB) of which ([\d.]+ [MG]iB) is free")


def find_evidence(text: str) -> tuple[str, str] | None:
    """The cause a line names, as (health id, the line), or None."""
    if _ANY.search(text) is None:
        return None
    for cause, pattern in _CAUSES:
        if pattern.search(text):
            return cause, text.strip()
    return None


def quoted_file(text: str) -> str | None:
    """The file a "no such file" line names."""
    match = _QUOTED_FILE.search(text)
    return match[1] if match else None


def memory_hog(text: str) -> tuple[str, str] | None:
    """Process id and size of another process that holds more GPU memory than the run itself."""
    own = _OWN_MEMORY.search(text)
    others = [(_mebibytes(m[2], m[3]), m[1], f"{m[2]} {m[3]}") for m in _OTHER_MEMORY.finditer(text)]
    if not own or not others:
        return None
    size, process, shown = max(others)
    return (process, shown) if size > _mebibytes(own[1], own[2]) else None


def free_memory(text: str) -> str | None:
    """ "19.50 MiB of 139.80 GiB free", from PyTorch's out-of-memory line."""
    match = _CAPACITY.search(text)
    return f"{match[2]} of {match[1]} free" if match else None


def _mebibytes(number: str, unit: str) -> float:
    try:
        return float(number) * (1024 if unit == "GiB" else 1)
    except ValueError:
        return 0.0
