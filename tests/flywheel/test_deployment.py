"""Handing a model over: decoder to build flags, what is refused, the commands, the written script."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.deploy_script import deploy_commands, script_text, write_script
from clinasr_tui.flywheel.deployment import Deployment, deployment, described
from clinasr_tui.flywheel.nemo_file import Decoder, NemoFile, read_nemo
from tests.support import nemo_models
from tests.support.nemo_models import put_model

KEY = "nvapi-not-a-key-0815"


def plan_of(path: Path, config: str = nemo_models.TDT, container_id: str = "") -> Deployment:
    return deployment(read_nemo(put_model(path, config)), container_id)


def command(plan: Deployment, name: str) -> tuple[str, ...]:
    return next(one.argv for one in deploy_commands(plan) if one.id == name)


@pytest.mark.parametrize(
    ("config", "family", "container_id", "decoder", "block"),
    [
        (nemo_models.TDT, "parakeet TDT", "parakeet-0.6b-tdt", "nemo", "{format: nemo}"),
        (nemo_models.RNNT, "parakeet RNNT", "parakeet-1-1b-rnnt-multilingual", "nemo", "{format: nemo}"),
        (
            nemo_models.CTC,
            "parakeet CTC",
            "parakeet-1-1b-ctc-en-us",
            "greedy",
            "{format: onnx, onnx_opset: 19, max_dim: 1000}",
        ),
    ],
    ids=["tdt", "rnnt", "ctc"],
)
def test_the_decoder_decides_family_and_flags(tmp_path, config, family, container_id, decoder, block):
    plan = plan_of(tmp_path / "m.nemo", config)
    assert plan.family is not None
    assert (plan.family.name, plan.container_id) == (family, container_id)
    assert plan.image == f"nvcr.io/nim/nvidia/{container_id}:latest"
    build = command(plan, "build")
    assert f"decoder={decoder}" in build
    assert f"source_path=[{{path: /riva_build_deploy/adapted_model.nemo, nemo2riva: {block}}}]" in build
    assert build[3:6] == (
        "riva-build",
        "--config-path=pkg://servicemaker.configs.asr",
        "--config-name=offline",
    )
    assert "force=true" in build
    assert "output_path=/riva_build_deploy/custom_model.rmir" in build


def test_the_published_greedy_ctc_is_never_given(tmp_path):
    plan = plan_of(tmp_path / "m.nemo", nemo_models.CTC)
    assert "decoder=greedy " in script_text(plan)
    assert [part for part in command(plan, "build") if part.startswith("decoder")] == ["decoder=greedy"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (nemo_models.STREAMING, "non-streaming base"),
        (nemo_models.HYBRID, "split it first"),
        (nemo_models.UNKNOWN, "neither CTC, RNNT nor TDT"),
    ],
    ids=["streaming", "hybrid", "unknown"],
)
def test_what_cannot_be_handed_over_has_no_command(tmp_path, config, why):
    plan = plan_of(tmp_path / "m.nemo", config)
    assert why in plan.refused
    assert (plan.family, plan.image, plan.source_path, deploy_commands(plan)) == (None, "", "", ())
    with pytest.raises(InputError, match=why):
        write_script(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_to_mind_names_the_models_own_limits(tmp_path):
    tdt = " ".join(plan_of(tmp_path / "a.nemo").warnings)
    assert "offline only" in tdt
    assert "confirm with riva-build" in tdt
    assert "GPU class" in tdt
    ctc = " ".join(plan_of(tmp_path / "b.nemo", nemo_models.CTC).warnings)
    assert "offline only" not in ctc
    assert "flashlight" in ctc
    assert "cannot transcribe" not in ctc
    for config in ("target: a.EncDecCTCModel\nvalidation_ds: null\n", "target: a.EncDecCTCModel\n"):
        assert "has no validation_ds: NeMo cannot" in " ".join(plan_of(tmp_path / "c.nemo", config).warnings)


def test_an_image_of_another_family_is_warned_of(tmp_path):
    plan = plan_of(tmp_path / "m.nemo", container_id="parakeet-1-1b-ctc-en-us")
    assert "broken RMIR" in " ".join(plan.warnings)
    assert plan.image.endswith("/parakeet-1-1b-ctc-en-us:latest")
    same = plan_of(tmp_path / "m.nemo", container_id="parakeet-2b-tdt-of-ours")
    assert "broken RMIR" not in " ".join(same.warnings)


@pytest.mark.parametrize("container_id", ["canary-1b", "riva-asr", "parakeet-0.6b", "parakeet-0.6b-tdtx"])
def test_an_image_that_names_no_family_is_warned_of(tmp_path, container_id):
    warnings = " ".join(plan_of(tmp_path / "m.nemo", container_id=container_id).warnings)
    assert f"{container_id} does not name TDT: the wrong family" in warnings


@pytest.mark.parametrize("config", [nemo_models.TDT, nemo_models.RNNT, nemo_models.CTC])
def test_the_default_image_names_its_family(tmp_path, config):
    assert "broken RMIR" not in " ".join(plan_of(tmp_path / "m.nemo", config).warnings)


@pytest.mark.parametrize("bad", ["a b", "../x", "x:latest", "nvcr.io/nim/x", "$(id)", "-x", "A"])
def test_what_is_no_container_id_is_one_line(tmp_path, bad):
    with pytest.raises(InputError, match="no container id"):
        plan_of(tmp_path / "m.nemo", container_id=bad)


def test_the_key_passes_by_its_name_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("NGC_API_KEY", KEY)
    plan = plan_of(tmp_path / "m.nemo")
    everything = " ".join(part for one in deploy_commands(plan) for part in one.argv) + script_text(plan)
    assert KEY not in everything
    serve = command(plan, "serve")
    assert serve[serve.index("NGC_API_KEY") - 1] == "-e"
    assert not [part for part in serve if part.startswith("NGC_API_KEY=")]


def test_serving_downloads_nothing_and_opens_both_ports(tmp_path):
    serve = command(plan_of(tmp_path / "m.nemo"), "serve")
    assert {"NIM_DISABLE_MODEL_DOWNLOAD=true", "9000:9000", "50051:50051"} <= set(serve)
    assert f"{tmp_path}/riva/nim_export:/opt/nim/export" in serve
    assert "NIM_EXPORT_PATH=/opt/nim/export" in serve


def test_the_engines_are_packed_where_they_were_built(tmp_path):
    plan = plan_of(tmp_path / "m.nemo")
    assert [one.id for one in deploy_commands(plan)] == [
        "prepare",
        "enter",
        "build",
        "deploy",
        "tar",
        "leave",
        "serve",
        "ready",
        "validate",
    ]
    enter = command(plan, "enter")
    assert enter[enter.index("--entrypoint") + 1] == "/bin/bash"
    assert enter[enter.index("--ulimit") + 1] == "nofile=65536:65536"
    assert command(plan, "deploy")[3:] == (
        "riva-deploy",
        "-f",
        "/riva_build_deploy/custom_model.rmir",
        "/data/models",
    )
    assert {command(plan, name)[2] for name in ("build", "deploy", "tar")} == {
        enter[enter.index("--name") + 1]
    }


def test_a_path_docker_cannot_mount_is_one_line(tmp_path):
    plan = plan_of(tmp_path / "a:b" / "m.nemo")
    with pytest.raises(InputError, match="colon"):
        deploy_commands(plan)


def test_a_models_facts_are_one_line(tmp_path):
    found = read_nemo(put_model(tmp_path / "m.nemo"))
    assert described(found) == "TDT, 256 tokens, 16 kHz, 1.0 kB of parameters, by NeMo 2.6.2"
    without = described(replace(found, weights=None))
    assert without == "TDT, 256 tokens, 16 kHz, 10.2 kB, by NeMo 2.6.2"


def test_the_parameters_of_a_real_model_are_told():
    sft3 = Path(__file__).parents[1] / "data/nemo/sft3.nemo"
    assert "12.1 MB of parameters" in described(read_nemo(sft3))


# --- the script, run by a real shell ---------------------------------------------------------------

STAND_IN = """\
#!/bin/sh
# A stand-in that runs nothing: it writes down how it was called.
if [ "$1" = --config ]; then shift 4; fi
{{ printf '%s' "${{0##*/}}"; for part; do printf '\\000%s' "$part"; done; printf '\\001'; }} >> {log}
case "$1 $2" in
  'image inspect') exit {pulled} ;;
  'login nvcr.io') cat > {typed} ;;
  'exec clinasr-riva-build')
    if [ "$4" = -h ]; then echo {usage}; fi
    if [ "$3" = bash ] && [ -n "$PACKS" ]; then : > "$PACKS"; fi ;;
  'run --detach') echo "id-of-$4"; : > {log}-"$4" ;;
  'ps --quiet') if [ "$4" = 'name=^clinasr-asr-nim$' ] && [ -e {log}-clinasr-asr-nim ]; then echo id; fi ;;
esac
exit {code}
"""


def run_script(folder: Path, script: Path, *words: str, code=0, pulled=0, usage="hydra", **variables: str):
    """Run deploy.sh with stand-ins for docker, curl, install and sudo; their calls and how it ended."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    log = folder / "calls"
    log.unlink(missing_ok=True)
    text = STAND_IN.format(
        log=shlex.quote(str(log)),
        code=code,
        pulled=pulled,
        usage=shlex.quote(usage),
        typed=shlex.quote(str(folder / "typed")),
    )
    for name in ("docker", "curl", "install", "sudo"):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [script, *words],
        env={"PATH": f"{tools}:{os.environ['PATH']}", "READY_TRIES": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    raw = log.read_text(errors="surrogateescape") if log.exists() else ""
    return [tuple(call.split("\0")) for call in raw.split("\1")[:-1]], done


@pytest.mark.parametrize("name", ["plain", "a b", 'it\'s $HOME `id` "x" {y} \\', "новая модель"])
def test_the_script_runs_the_very_commands(tmp_path, name):
    plan = plan_of(tmp_path / name / "m.nemo")
    script = write_script(plan, tmp_path / "out")
    assert script.stat().st_mode & 0o777 == 0o755
    export = tmp_path / name / "riva" / "nim_export"
    export.mkdir(parents=True)
    calls, done = run_script(tmp_path, script, NGC_API_KEY=KEY, PACKS=str(export / "custom_model.tar.gz"))
    assert done.returncode == 0, done.stderr
    wanted = [one.argv for one in deploy_commands(plan) if one.id not in ("leave", "validate")]
    assert [call for call in calls if call in wanted] == wanted
    assert calls[calls.index(command(plan, "tar")) + 1] == command(plan, "leave")
    assert KEY not in json.dumps(calls)
    assert "Now check what it serves" in done.stderr


def test_the_scripts_variables_can_be_set(tmp_path):
    script = write_script(plan_of(tmp_path / "m.nemo"), tmp_path / "out")
    other = put_model(tmp_path / "other model.nemo")
    calls, done = run_script(
        tmp_path,
        script,
        "build",
        NGC_API_KEY=KEY,
        MODEL=str(other),
        CONTAINER_ID="parakeet-x-tdt",
        ARTIFACT_DIR="/a b",
        NIM_EXPORT_PATH="/e",
    )
    assert done.returncode == 0, done.stderr
    [enter] = [call for call in calls if call[:2] == ("docker", "run")]
    assert f"{other}:/riva_build_deploy/adapted_model.nemo:ro" in enter
    assert "nvcr.io/nim/nvidia/parakeet-x-tdt:latest" in enter
    assert {"/a b:/riva_build_deploy", "/e:/model_tar"} <= set(enter)


def test_the_key_is_typed_into_the_login_and_nowhere_else(tmp_path):
    script = write_script(plan_of(tmp_path / "m.nemo"), tmp_path / "out")
    calls, done = run_script(tmp_path, script, "build", NGC_API_KEY=KEY, pulled=1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "typed").read_text() == KEY
    assert ("docker", "login", "nvcr.io", "--username", "$oauthtoken", "--password-stdin") in calls
    assert KEY not in json.dumps(calls) + script.read_text() + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("word", "variables", "said", "code"),
    [
        ("build", {}, "NGC_API_KEY is not set", 2),
        ("build", {"MODEL": "/no/such.nemo"}, "MODEL is no file: /no/such.nemo", 2),
        ("serve", {"NGC_API_KEY": KEY}, "Nothing is built yet", 2),
        ("other", {}, "usage:", 2),
    ],
)
def test_the_script_says_what_is_missing(tmp_path, word, variables, said, code):
    script = write_script(plan_of(tmp_path / "m.nemo"), tmp_path / "out")
    calls, done = run_script(tmp_path, script, word, **variables)
    assert said in done.stderr
    assert done.returncode == code
    assert not [call for call in calls if call[1] in ("run", "exec")]


def test_the_classic_command_line_is_told_and_the_container_removed(tmp_path):
    script = write_script(plan_of(tmp_path / "m.nemo"), tmp_path / "out")
    usage = "usage: riva-build speech_recognition [--decoder_type X]"
    calls, done = run_script(tmp_path, script, "build", NGC_API_KEY=KEY, usage=usage)
    assert done.returncode == 1
    assert "classic riva-build" in done.stderr
    assert calls[-1] == ("docker", "rm", "--force", "id-of-clinasr-riva-build")
    assert not [call for call in calls if "riva-deploy" in call]


def test_a_step_that_fails_ends_the_script(tmp_path):
    script = write_script(plan_of(tmp_path / "m.nemo"), tmp_path / "out")
    calls, done = run_script(tmp_path, script, "build", NGC_API_KEY=KEY, code=3)
    assert done.returncode == 3
    assert not [call for call in calls if "riva-build" in call]


def test_another_script_is_not_replaced_unless_asked(tmp_path):
    plan = plan_of(tmp_path / "m.nemo")
    out = tmp_path / "out"
    first = write_script(plan, out).read_text()
    write_script(plan, out)
    (out / "deploy.sh").write_text("mine")
    with pytest.raises(InputError, match="another file"):
        write_script(plan, out)
    assert (out / "deploy.sh").read_text() == "mine"
    write_script(plan, out, force=True)
    assert (out / "deploy.sh").read_text() == first
    assert [path.name for path in out.iterdir()] == ["deploy.sh"]


@given(st.text(st.characters(exclude_characters=":/\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
@settings(max_examples=100)
def test_any_name_is_quoted_once(name):
    model = NemoFile(Path("/m") / f"x{name}" / "m.nemo", 1, Decoder.TDT, "", 1, 16000, 1, False, "", True)
    for one in deploy_commands(deployment(model)):
        assert tuple(shlex.split(one.shell)) == one.argv
