#!/usr/bin/env python3
"""A FAKE of NVIDIA Brev's command line, for tests: nothing real can be rented there.

Strict: it behaves as the CLI's own source and issue threads say (v0.6.327), its traps included, and refuses
what the real one refuses. Its "cloud" is one JSON file in the folder BREV_FAKE_DIR names; faults are keys of
that file (see `new_cloud`). Every call is appended to `calls.jsonl` there with what was on standard input, so
that a test can count what was really asked for.

It imports the standard library only: it runs as a process of its own under the name `brev`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import sys
import time
from pathlib import Path

VERSION = "v0.6.327 (FAKE, for tests)"

L40S = {
    "type": "massedcompute_L40S",
    "cloud": "massedcompute",
    "provider": "shadeform",
    "gpu_name": "L40S",
    "gpu_count": 1,
    "vram_per_gpu_gb": 48,
    "total_vram_gb": 48,
    "capability": 8.9,
    "vcpus": 22,
    "memory": "72GiB",
    "ram_gb": 72,
    "arch": "x86_64",
    "disk_min_gb": 625,
    "disk_max_gb": 625,
    "boot_time_seconds": 240,
    "stoppable": False,
    "rebootable": True,
    "flex_ports": False,
    "price_per_hour": 1.06,
}
FLEXIBLE = {
    **L40S,
    "type": "gpu-l40s-a.1gpu-8vcpu-32gb",
    "cloud": "nebius",
    "provider": "nebius",
    "disk_min_gb": 50,
    "disk_max_gb": 2560,
    "disk_price_per_gb_mo": 0.1,
    "stoppable": True,
    "price_per_hour": 1.82,
}
DEAR = {**FLEXIBLE, "type": "g6e.2xlarge", "cloud": "aws", "provider": "aws", "price_per_hour": 2.7}
TWO = {**FLEXIBLE, "type": "g6e.24xlarge", "gpu_count": 2, "total_vram_gb": 96, "price_per_hour": 9.0}
T4 = {
    **FLEXIBLE,
    "type": "n1-standard-4:nvidia-tesla-t4:1",
    "gpu_name": "T4",
    "vram_per_gpu_gb": 16,
    "capability": 7.5,
    "price_per_hour": 0.35,
}
A10G = {**FLEXIBLE, "type": "g5.xlarge", "gpu_name": "A10G", "vram_per_gpu_gb": 24, "price_per_hour": 1.2}


def new_cloud() -> dict[str, object]:
    """A cloud with offers, nobody's boxes and no fault."""
    return {
        "flavour": "current",  # current | published (takes the published flags) | ancient (before v0.6.317)
        "signed_in": True,
        "offers": [L40S, FLEXIBLE, DEAR, TWO, T4, A10G],
        "no_capacity": [],  # types whose creation fails
        "boxes": [],
        "steps": {"DEPLOYING": 1, "STARTING": 1, "STOPPING": 1, "DELETING": 1},  # looks until it moves on
        "ssh": None,  # {"HostName", "Port", "User", "IdentityFile"}: what `refresh` writes
        "rent_though_failed": False,  # create exits 1 although the box is made
        "create_hangs": 0,  # seconds create waits after making the box (with or without --detached)
        "list_lags": 0,  # how many looks do not show a new box yet
        "broken": {},  # command -> text printed on standard output instead of the right one
        "fails": {},  # command -> one line on standard error, exit 1
        "hangs": [],  # commands that never end
    }


def write(folder: Path, state: dict[str, object]) -> None:
    """Write the cloud's state in one go: a test may look at any moment."""
    temporary = folder / f".cloud.{os.getpid()}"
    temporary.write_text(json.dumps(state, indent=1))
    temporary.replace(folder / "cloud.json")


def die(line: str) -> None:
    """All errors are one line on standard error with exit code 1."""
    sys.stderr.write(line + "\n")
    raise SystemExit(1)


class Cloud:
    """The state in its file, locked while one call uses it."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["BREV_FAKE_DIR"])
        self._lock = (self.folder / "cloud.lock").open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.state = json.loads((self.folder / "cloud.json").read_text())

    def save(self) -> None:
        write(self.folder, self.state)

    def release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def box(self, name: str) -> dict[str, object]:
        for box in self.state["boxes"]:
            if name in (box["name"], box["id"]):
                return box
        die(f"instance with id/name {name} not found")
        raise AssertionError

    def look(self) -> None:
        """Time passes only when somebody looks."""
        for box in list(self.state["boxes"]):
            if box["lag"]:
                box["lag"] -= 1
                continue
            after = {"DEPLOYING": "STARTING", "STARTING": "RUNNING", "STOPPING": "STOPPED", "DELETING": None}
            if box["status"] not in after:
                continue
            if box["looks"] > 0:
                box["looks"] -= 1
                continue
            following = after[box["status"]]
            if following is None:
                self.state["boxes"].remove(box)
            else:
                box["status"], box["looks"] = following, self.state["steps"].get(following, 0)
        self.save()


def piped_input() -> str | None:
    """What stands on standard input, read to its end, if it is no terminal and no /dev/null.

    The real CLI asks whether it is a character device: /dev/null is one. A pipe nobody closes hangs it.
    """
    if stat.S_ISCHR(os.fstat(0).st_mode):
        return None
    return sys.stdin.read()


def need_login(cloud: Cloud) -> None:
    if cloud.state["signed_in"]:
        return
    sys.stdout.write("You are currently logged out, would you like to log in? [Y/n]: ")
    sys.stdout.flush()
    if not sys.stdin.readline():
        die("EOF")
    # An answer would open a browser: a test that gets here has let the CLI ask somebody.
    (cloud.folder / "asked_to_log_in").write_text("")
    time.sleep(600)


def flags(argv: list[str], known: dict[str, bool]) -> tuple[dict[str, str], list[str]]:
    """Parse as cobra does; `known` says for each flag whether it takes a value."""
    given: dict[str, str] = {}
    rest = []
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            rest.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if name not in known:
            die(f"unknown flag: --{name}")
        if known[name] and not equals:
            value = next(words, "")
        given[name] = value if known[name] or equals else "true"
    return given, rest


def show_help(cloud: Cloud, command: str) -> None:
    current = {
        "search": "gpu-name json min-disk sort stoppable min-vram desc",
        "create": "count detached dry-run jupyter mode name timeout type gpu-name min-disk",
        "ls": "all json org",
        "refresh": "",
        "stop": "all",
        "start": "detached",
        "delete": "",
    }
    by_flavour = {
        "current": current,
        "published": {**current, "create": "detached disk gpu image", "ssh-config": ""},
        "ancient": {
            "create": "cpu detached gpu",
            "ls": "all org",
            "refresh": "",
            "stop": "all",
            "delete": "",
        },
    }
    if cloud.state["flavour"] == "published":
        del by_flavour["published"]["search"], by_flavour["published"]["refresh"]
    commands = by_flavour[cloud.state["flavour"]]
    if command not in commands:
        die(f'unknown command "{command}" for "brev"')
    words = "".join(f"\n      --{flag}" for flag in commands[command].split())
    sys.stdout.write(f"FAKE brev, for tests\n\nUsage:\n  brev {command}\n\nFlags:{words}\n  -h, --help\n")


def search(cloud: Cloud, argv: list[str]) -> None:
    if cloud.state["flavour"] != "current":
        die('unknown command "search" for "brev"')
    known = {"gpu-name": True, "min-disk": True, "sort": True, "stoppable": False, "json": False}
    given, rest = flags(argv, known)
    if rest not in ([], ["gpu"]):
        die(f'unknown command "{rest[0]}" for "brev search"')
    disk = float(given.get("min-disk", 0))
    found = []
    for offer in cloud.state["offers"]:
        named = given.get("gpu-name", "").lower() in offer["gpu_name"].lower()
        stops = offer["stoppable"] or "stoppable" not in given
        if named and stops and offer["disk_max_gb"] >= disk:
            flexible = offer["disk_min_gb"] != offer["disk_max_gb"]
            target = disk if flexible and disk >= offer["disk_min_gb"] > 0 else offer["disk_min_gb"]
            found.append({**offer, "target_disk_gb": target})
    found.sort(key=lambda offer: offer["price_per_hour"])
    if "json" not in given:
        die("FAKE: tables are not made here; ask for --json")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def create(cloud: Cloud, argv: list[str]) -> None:
    if cloud.state["flavour"] == "current":
        specs, name = pinned(cloud, argv)
    else:
        known = {"gpu": True, "disk": True, "image": True, "detached": False, "cpu": True}
        if cloud.state["flavour"] == "ancient":
            del known["disk"], known["image"]
        given, rest = flags(argv, known)
        name = rest[0] if rest else ""
        specs = [(given.get("gpu", T4["type"]), float(re.sub("gi$", "", given.get("disk", "120gi"))))]
    need_login(cloud)
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}", name):
        die("name is required" if not name else "name must start with a letter or digit")
    # The fallback chain: every type in turn until one can be had.
    for kind, disk in specs:
        sys.stderr.write(f"Trying {kind} for 1 instance(s)...\n")
        if kind in cloud.state["no_capacity"]:
            sys.stderr.write(f"Skipping: instance type {kind!r} is currently unavailable (no capacity)\n")
            continue
        if any(box["name"] == name for box in cloud.state["boxes"]):
            sys.stderr.write(f"Error: workspace '{name}' already exists.\n")
            break
        rent(cloud, name, kind, disk)
        if cloud.state["create_hangs"]:
            cloud.release()
            time.sleep(cloud.state["create_hangs"])
        if cloud.state["rent_though_failed"]:
            die("rpc error: code = Unavailable")
        if "--detached" not in argv:
            # Not ready in time is no error: exit 0 all the same.
            sys.stderr.write(f"  {name}: Timeout waiting for ready state\n")
        sys.stdout.write(f"{name}\n")
        return
    die("could only create 0/1 instances")


def pinned(cloud: Cloud, argv: list[str]) -> tuple[list[tuple[str, float]], str]:
    """The types to try: those on standard input; without any, the cheapest GPUs of any kind."""
    known = {"name": True, "type": True, "count": True, "detached": False, "jupyter": False, "dry-run": False}
    given, rest = flags(argv, known)
    specs = [(kind, 0.0) for kind in given.get("type", "").split(",") if kind]
    text = (piped_input() or "").strip()
    if text.startswith("["):
        specs += [(spec.get("type", ""), float(spec.get("target_disk_gb", 0))) for spec in json.loads(text)]
    elif text:
        die("FAKE: tables are not read here")
    if not specs:
        enough = [offer for offer in cloud.state["offers"] if offer["disk_max_gb"] >= 500]
        enough.sort(key=lambda offer: offer["price_per_hour"])
        specs = [(offer["type"], 500.0) for offer in enough]
    return specs, given.get("name") or (rest[0] if rest else "")


def rent(cloud: Cloud, name: str, kind: str, disk: float) -> None:
    offer = next((one for one in cloud.state["offers"] if one["type"] == kind), {})
    cloud.state["boxes"].append(
        {
            "name": name,
            "id": f"fake{len(cloud.state['boxes']) + 1}",
            "status": "DEPLOYING",
            "type": kind,
            "gpu": offer.get("gpu_name", "-"),
            "disk": disk,
            "stoppable": offer.get("stoppable", True),
            "looks": cloud.state["steps"]["DEPLOYING"],
            "lag": cloud.state["list_lags"],
        }
    )
    cloud.save()


def ls(cloud: Cloud, argv: list[str]) -> None:
    known = {"all": False, "org": True}
    if cloud.state["flavour"] != "ancient":
        known["json"] = False
    given, _ = flags(argv, known)
    need_login(cloud)
    seen = [box for box in cloud.state["boxes"] if not box["lag"]]
    if "json" not in given:
        sys.stdout.write("".join(f"{box['name']}\n" for box in seen))
        return
    listed = [
        {
            "name": box["name"],
            "id": box["id"],
            "status": box["status"],
            "build_status": "COMPLETED" if box["status"] == "RUNNING" else "BUILDING",
            "shell_status": "READY" if box["status"] == "RUNNING" else "NOT READY",
            "health_status": "HEALTHY" if box["status"] == "RUNNING" else "UNAVAILABLE",
            "instance_type": box["type"],
            "instance_kind": "gpu",
            "gpu": box["gpu"],
        }
        for box in seen
    ]
    # Go writes an empty slice that was never filled as null.
    sys.stdout.write(json.dumps({"workspaces": listed or None}, indent=2) + "\n")
    cloud.look()


def refresh(cloud: Cloud, argv: list[str]) -> None:
    """Write the hosts of running boxes to ~/.brev/ssh_config, included from ~/.ssh/config."""
    flags(argv, {})
    need_login(cloud)
    sys.stdout.write("refreshing brev...\n")
    home = Path.home()
    (home / ".brev").mkdir(mode=0o700, exist_ok=True)
    (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
    where = cloud.state["ssh"]
    entries = []
    for box in cloud.state["boxes"]:
        if where and box["status"] == "RUNNING":
            entries.append(
                f"Host {box['name']}\n"
                f"  Hostname {where['HostName']}\n"
                f'  IdentityFile "{where["IdentityFile"]}"\n'
                f"  User {where['User']}\n"
                "  ServerAliveInterval 30\n"
                "  UserKnownHostsFile /dev/null\n"
                "  IdentitiesOnly yes\n"
                "  StrictHostKeyChecking no\n"
                "  PasswordAuthentication no\n"
                "  AddKeysToAgent yes\n"
                "  ForwardAgent yes\n"
                "  RequestTTY yes\n"
                "  ControlMaster auto\n"
                "  ControlPath ~/.ssh/brev-control-%C\n"
                "  ControlPersist 10m\n"
                f"  Port {where['Port']}\n\n"
            )
    (home / ".brev" / "ssh_config").write_text("".join(entries))
    config = home / ".ssh" / "config"
    text = config.read_text() if config.exists() else ""
    include = f'Include "{home}/.brev/ssh_config"\n'
    if include not in text:
        config.write_text(include + text)
    sys.stdout.write("brev has been refreshed\n")


def change(cloud: Cloud, command: str, argv: list[str]) -> None:
    """stop, start and delete: asynchronous, names from the arguments and from piped input."""
    given, names = flags(argv, {"all": False, "detached": False})
    names += (piped_input() or "").split()
    need_login(cloud)
    if given.get("all") or not names:
        die("FAKE: tests name their boxes")
    for name in names:
        box = cloud.box(name)
        if command == "stop" and not box["stoppable"]:
            die(f'instance "{name}" does not support stop.')
        status = {"stop": "STOPPING", "start": "STARTING", "delete": "DELETING"}[command]
        box["status"], box["looks"] = status, cloud.state["steps"].get(status, 0)
    cloud.save()
    sys.stdout.write("".join(f"{name}\n" for name in names))


def record(cloud: Cloud, argv: list[str]) -> None:
    kind = "null" if stat.S_ISCHR(os.fstat(0).st_mode) else "pipe"
    has_terminal = True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        has_terminal = False
    with (cloud.folder / "calls.jsonl").open("a") as calls:
        calls.write(
            json.dumps({"argv": argv, "stdin": kind, "terminal": has_terminal, "pid": os.getpid()}) + "\n"
        )


def main(argv: list[str]) -> None:
    """One call of the fake CLI."""
    cloud = Cloud()
    record(cloud, argv)
    command = argv[0] if argv else ""
    if command == "--version":
        sys.stdout.write(f"Current version: {VERSION}\n")
        return
    if command in ("exec", "copy"):
        die(f"FAKE: brev {command} may run a command twice and start stopped boxes: never use it")
    if argv[-1] == "--help":
        show_help(cloud, command)
        return
    if command in cloud.state["hangs"]:
        cloud.release()
        time.sleep(600)
    if command in cloud.state["fails"]:
        die(cloud.state["fails"][command])
    if command in cloud.state["broken"]:
        sys.stdout.write(cloud.state["broken"][command])
        return
    rest = argv[1:]
    match command:
        case "search":
            search(cloud, rest)
        case "create":
            create(cloud, rest)
        case "ls":
            ls(cloud, rest)
        case "refresh" if cloud.state["flavour"] != "published":
            refresh(cloud, rest)
        case "ssh-config" if cloud.state["flavour"] == "published":
            refresh(cloud, rest)
        case "stop" | "start" | "delete":
            change(cloud, command, rest)
        case _:
            die(f'unknown command "{command}" for "brev"')


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1:])
