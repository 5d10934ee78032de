"""Causes of trouble that a line of a log names: health id and the words that prove it."""

from __future__ import annotations

import re

# In order: a line that fits several causes has the first.
_CAUSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "shm",
        re.compile(
            r"insufficient shared memory|unable to (?:allocate|open|mmap|write)[^:]*(?:/torch_|shared memory)"
            r"|DataLoader worker \(pid.*killed by signal: Bus error|/dev/shm.*No space left"
            r"|Too many open files\W+Communication with the workers|received \d+ items of ancdata",
            re.IGNORECASE,
        ),
    ),
    (
        "disk_full",
        re.compile(
            r"No space left on device|Disk quota exceeded|\[Errno 28\]"
            r"|PytorchStreamWriter failed writing file"
        ),
    ),
    (
        "oom",
        re.compile(
            r"CUDA out of memory|OutOfMemoryError|CUDA (?:driver )?error: out of memory"
            r"|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|can't allocate memory|MemoryError"
            r"|\[Errno 12\] Cannot allocate memory|DataLoader worker \(pid.*killed by signal: Killed"
            r"|Detected \d+ oom[-_]kill event|^srun: error: .{1,200}: Out Of Memory"
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
# Every cause's words hold one of these; looking for plain words is twenty times as fast as the patterns.
_WORDS = (
    "memory",
    "no such file",
    "worker",
    "no space",
    "errno",
    "quota",
    "oom",
    "alloc_failed",
    "error opening",
    "failed to parse",
    "jsondecode",
    "invalid json",
    "torch_",
    "ancdata",
    "streamwriter",
)
_WARNED = re.compile(r"Warning: ")
_GPU_MEMORY = re.compile(r"\bCUDA|CUBLAS|CUDNN|OutOfMemoryError")
_OPEN_FILES = re.compile(r"Too many open files|ancdata", re.IGNORECASE)
_SIGNALS = {
    "Killed": "SIGKILL",
    "Terminated": "SIGTERM",
    "Bus error": "SIGBUS",
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Out Of Memory": "SIGKILL",
}
_NAMES = "|".join(_SIGNALS)
# A shell's word about its child, srun's about its task: the whole line, so that no sentence can be one.
_ENDED_BY = re.compile(
    rf"(?:\S{{1,200}}: line \d+: +\d+ |srun: error: \S{{1,200}}: tasks? [\d,-]{{1,80}}: )?({_NAMES})"
    r"(?: \(core dumped\))?(?: {2,}.{0,1000})?"
)
_FATAL = re.compile(
    rf"Fatal Python error: ({_NAMES})|.{{0,200}}Signal \d+ \((SIG[A-Z]+)\) received by PID \d+"
)
_CANCELLED = re.compile(
    r"slurmstepd(?:-\S{1,64})?: error: \*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT \S+"
    r"(?: DUE TO ([A-Z ]{1,60}?))? \*\*\*"
)
_QUOTED_FILE = re.compile(r"(?:No such file or directory: |Error opening )['\"]([^'\"]+)['\"]")
_OWN_MEMORY = re.compile(r"this process has ([\d.]+) ([MG]iB) memory in use")
_OTHER_MEMORY = re.compile(r"Process (\d+) has ([\d.]+) ([MG]iB) memory in use")
_CAPACITY = re.compile(r"total capacity of ([\d.]+ [MG]iB) of which ([\d.]+ [MG]iB) is free")


def find_evidence(text: str) -> tuple[str, str] | None:
    """The cause a line names, as (health id, the line), or None. A warning about it is no cause."""
    lower = text.lower()
    if not any(word in lower for word in _WORDS):
        return None
    for cause, pattern in _CAUSES:
        if found := pattern.search(text):
            return None if _WARNED.search(text, 0, found.start()) else (cause, text.strip())
    return None


def ended_by(text: str) -> str | None:
    """Name of the signal that ended the script, where a line is a shell's or scheduler's word of it."""
    match = _ENDED_BY.fullmatch(text.rstrip())
    if match:
        return _SIGNALS[match[1]]
    match = _FATAL.match(text)
    return (match[2] or _SIGNALS[match[1]]) if match else None


def cancelled_by(text: str) -> str | None:
    """Who cancelled the job, where a line is Slurm's word of it: "Slurm (time limit)"."""
    match = _CANCELLED.match(text)
    if match is None:
        return None
    return f"Slurm ({match[1].strip().lower()})" if match[1] else "Slurm (cancelled)"


def is_gpu_memory(text: str) -> bool:
    """True if it is the GPU's memory that ran out, not the machine's."""
    return _GPU_MEMORY.search(text) is not None


def is_open_files(text: str) -> bool:
    """True if workers failed for want of file descriptors rather than of shared memory."""
    return _OPEN_FILES.search(text) is not None


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
