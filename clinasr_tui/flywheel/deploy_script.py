"""The commands that build, serve and check a NIM of one's own, as argument lists and as a script.

NGC_API_KEY passes by its name alone: no command and no file ever holds its value.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.deploy_template import SCRIPT
from clinasr_tui.flywheel.deployment import MOUNTED_MODEL, REGISTRY
from clinasr_tui.flywheel.files import write_together
from clinasr_tui.flywheel.offline_figures import offline_cycle
from clinasr_tui.flywheel.workspace import SERVING_FILE

if TYPE_CHECKING:
    from clinasr_tui.flywheel.deployment import Deployment

__all__ = [
    "DeployCommand",
    "checklist",
    "deploy_commands",
    "offline_cycle",
    "script_text",
    "to_set",
    "write_script",
]

SCRIPT_NAME = "deploy.sh"
HTTP_PORT, GRPC_PORT = 9000, 50051
KEY_VARIABLE = "NGC_API_KEY"
_BUILDER, _SERVER = "clinasr-riva-build", "clinasr-asr-nim"
_RMIR = "/riva_build_deploy/custom_model.rmir"
_ARCHIVE = "custom_model.tar.gz"
_PACK = f"t=/model_tar/{_ARCHIVE}; cd /data/models && tar -czf $t.tmp * && mv $t.tmp $t"
"""An archive that is there is whole: what fails on the way has another name."""
_WIDEST = 96
"""Characters of a line of the script."""
_VARIABLE = re.compile(r"\$([A-Z_]+)")
_OPTION = re.compile(r"--?[a-z][a-z-]*")


@dataclass(frozen=True, slots=True)
class DeployCommand:
    """One command: `id` and what it does; its arguments name the script's variables as `$NAME`."""

    id: str
    does: str
    template: tuple[str, ...]
    values: Mapping[str, str]

    @property
    def argv(self) -> tuple[str, ...]:
        """The arguments with every path and name in its place."""
        return tuple(
            _VARIABLE.sub(lambda found: self.values.get(found[1], found[0]), part) for part in self.template
        )

    @property
    def shell(self) -> str:
        """The command as a line for a shell, quoted once."""
        return shlex.join(self.argv)

    @property
    def script(self) -> str:
        """The command as it stands in the script, whose variables the operator may set."""
        parts = [f'"{one}"' if self._varies(one) else shlex.quote(one) for one in self.template]
        return " \\\n".join(_in_lines(parts, _WIDEST))

    def lines(self, width: int) -> list[str]:
        """The command over several lines of about `width` characters, to be joined by ` \\`."""
        return _in_lines([shlex.quote(one) for one in self.argv], width)

    def _varies(self, part: str) -> bool:
        return any(found[1] in self.values for found in _VARIABLE.finditer(part))


def _in_lines(parts: Sequence[str], width: int) -> list[str]:
    """Quoted arguments in lines, an option and its value side by side; a longer one has its own line."""
    lines = [parts[0]]
    for before, part in pairwise(parts):
        value = _OPTION.fullmatch(before) is not None and not part.startswith("-")
        if len(lines[-1]) + len(part) < width:
            lines[-1] += f" {part}"
        elif value and len(lines[-1]) > len(before) + 4:
            lines[-1] = lines[-1].removesuffix(before).rstrip()
            lines.append(f"    {before} {part}")
        else:
            lines.append(f"    {part}")
    return lines


def deploy_commands(plan: Deployment, *, compare_with: str = "") -> tuple[DeployCommand, ...]:
    """prepare, enter, build, deploy, tar, leave, serve, ready, validate; () for a model that is refused.

    `compare_with` is the folder of the cycle with the offline figures, by default what `offline_cycle` finds.
    Raises InputError for a path that Docker cannot mount.
    """
    if plan.family is None:
        return ()
    values = _values(plan)
    cycle = compare_with or offline_cycle(plan.model.path)
    inside = ("docker", "exec", _BUILDER)
    lines: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("prepare", "make the folders the container writes into (sudo, unless you are user 1000)", _PREPARE),
        ("enter", "start the image with a shell, the model mounted read-only", _enter()),
        ("build", "convert the model and build the RMIR", (*inside, *_riva_build(plan))),
        (
            "deploy",
            "build the engines for this GPU",
            (*inside, "riva-deploy", "-f", _RMIR, "/data/models"),
        ),
        (
            "tar",
            "pack the model repository for serving",
            (*inside, "bash", "-c", _PACK),
        ),
        ("leave", "remove the build container", ("docker", "rm", "--force", _BUILDER)),
        ("serve", f"start it: HTTP {HTTP_PORT}, gRPC {GRPC_PORT}", _serve()),
        ("ready", "ask whether it is ready", _READY),
        ("validate", "score what it serves", ("clinasr-tui", "compare", cycle, f"{cycle}/{SERVING_FILE}")),
    )
    return tuple(DeployCommand(name, does, template, values) for name, does, template in lines)


_PREPARE = ("install", "-d", "-o", "1000", "-g", "1000", "$ARTIFACT_DIR", "$NIM_EXPORT_PATH")

_READY = (
    *("curl", "--fail", "--silent", "--show-error", "--max-time", "5"),
    f"http://localhost:{HTTP_PORT}/v1/health/ready",
)


def _enter() -> tuple[str, ...]:
    """One container for all of the build: its /data/models is what is packed in the end."""
    return (
        *("docker", "run", "--detach", "--name", _BUILDER, "--gpus", "device=0"),
        *("--ulimit", "nofile=65536:65536"),
        *("-v", "$ARTIFACT_DIR:/riva_build_deploy", "-v", f"$MODEL:{MOUNTED_MODEL}:ro"),
        *("-v", "$NIM_EXPORT_PATH:/model_tar"),
        *("--entrypoint", "/bin/bash", "$IMAGE", "-c", "sleep infinity"),
    )


def _riva_build(plan: Deployment) -> tuple[str, ...]:
    assert plan.family is not None
    return (
        *("riva-build", "--config-path=pkg://servicemaker.configs.asr", "--config-name=offline"),
        *("force=true", f"output_path={_RMIR}", f"decoder={plan.family.riva_decoder}"),
        f"source_path={plan.source_path}",
    )


def _serve() -> tuple[str, ...]:
    ports = (("NIM_HTTP_API_PORT", HTTP_PORT), ("NIM_GRPC_API_PORT", GRPC_PORT))
    return (
        *("docker", "run", "--detach", "--name", _SERVER, "--runtime=nvidia", "--gpus", "device=0"),
        *("--shm-size=8GB", "-e", KEY_VARIABLE, "-e", "NIM_TAGS_SELECTOR"),
        *("-e", "NIM_DISABLE_MODEL_DOWNLOAD=true"),
        *(part for name, port in ports for part in ("-e", f"{name}={port}", "-p", f"{port}:{port}")),
        *("-v", "$NIM_EXPORT_PATH:/opt/nim/export", "-e", "NIM_EXPORT_PATH=/opt/nim/export", "$IMAGE"),
    )


def _values(plan: Deployment) -> dict[str, str]:
    model = plan.model.path.expanduser().absolute()
    if ":" in str(model):
        raise InputError("Docker cannot mount a path with a colon", where=str(model), remedy="Move the model")
    folder = model.parent / "riva"
    return {
        "MODEL": str(model),
        "IMAGE": plan.image,
        "ARTIFACT_DIR": str(folder / "build"),
        "NIM_EXPORT_PATH": str(folder / "nim_export"),
    }


def checklist(cycle: str) -> tuple[str, ...]:
    """What to check once it serves; `cycle` is the folder with the offline figures."""
    rows, served = shlex.quote(cycle), shlex.quote(f"{cycle}/{SERVING_FILE}")
    return (
        f"It is ready: clinasr-tui deploy --check HOST:{HTTP_PORT} (GET /v1/health/ready)",
        f"Transcribe the same manifest through it: the eval stage with ASR_ENDPOINT=HOST:{GRPC_PORT}. Keep "
        f"its rows as {served}",
        f"Score them against the offline ones: clinasr-tui compare {rows} {served}. The verdict should be "
        "unchanged; KER first",
        "A difference lies in Riva's preprocessing or the build flags, not in the model: change those, not "
        "the training",
    )


def to_set() -> tuple[str, ...]:
    """What the operator sets before the script runs, one line each."""
    return (
        f"{KEY_VARIABLE}: your NGC key, exported; the script holds no key",
        "MODEL, ARTIFACT_DIR, NIM_EXPORT_PATH: where they differ on the machine that builds",
        "CONTAINER_ID (or IMAGE): another NIM of the same family, by NVIDIA's support matrix",
    )


def script_text(plan: Deployment, *, compare_with: str = "") -> str:
    """The whole script. Raises InputError for a model that is refused."""
    commands = {one.id: one for one in deploy_commands(plan, compare_with=compare_with)}
    if not commands:
        raise InputError(f"not to be handed over: {plan.refused}", where=str(plan.model.path))
    values = commands["build"].values
    cycle = compare_with or offline_cycle(plan.model.path)
    return SCRIPT.format(
        warnings="\n".join(f"#   {line}" for line in plan.warnings),
        checks="\n".join(f"      say {shlex.quote(line)}" for line in checklist(cycle)),
        registry=REGISTRY,
        builder=_BUILDER,
        server=_SERVER,
        archive=_ARCHIVE,
        key=KEY_VARIABLE,
        container_id=plan.container_id,
        **{f"default_{name.lower()}": shlex.quote(value) for name, value in values.items()},
        **{name: one.script for name, one in commands.items()},
    )


def write_script(plan: Deployment, folder: Path, *, compare_with: str = "", force: bool = False) -> Path:
    """Write deploy.sh into a folder, executable. Raises InputError, also where another one stands there."""
    path = folder / SCRIPT_NAME
    text = script_text(plan, compare_with=compare_with)
    write_together({path: text.encode(errors="surrogateescape")}, replace=force)
    try:
        path.chmod(0o755)
    except OSError as error:
        raise InputError(f"cannot be made executable ({error.strerror})", where=str(path)) from None
    return path
