"""When a process began: tells it from a later one with the same id. Part of scripts that run on the host.

The standard library and Python 3.6 only, as the scripts it goes with.
"""

# ruff: noqa: PTH123, UP031


def begun(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" if it lives no more."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            fields = stream.read().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""
