"""A base that is a .nemo file is judged by what is in it."""

from __future__ import annotations

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.base_files import cpu_objection, standing_of
from clinasr_tui.flywheel.bases import DEFAULT_BASE, Standing, base_standing
from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.review import gate_of, scored_cycle
from clinasr_tui.flywheel.settings import Settings
from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch.runs import Choices, base_of
from tests.support import nemo_models
from tests.support.nemo_models import put_model


@pytest.mark.parametrize(
    ("config", "said"),
    [(nemo_models.STREAMING, "cache-aware streaming"), (nemo_models.UNKNOWN, "neither CTC, RNNT nor TDT")],
    ids=["streaming", "unknown"],
)
def test_a_base_is_refused_by_its_config_whatever_its_name(tmp_path, config, said):
    path = put_model(tmp_path / "parakeet-tdt-0.6b-v2.nemo", config)
    assert base_standing(str(path)).allowed
    found = standing_of(str(path))
    assert (found.standing, found.substitute) == (Standing.REFUSED, DEFAULT_BASE)
    assert said in found.reason
    with pytest.raises(InputError, match=said) as told:
        base_of(Choices(base=str(path)), "")
    assert DEFAULT_BASE in str(told.value)


def test_an_unreadable_base_is_refused(tmp_path):
    path = tmp_path / "base.nemo"
    path.write_bytes(b"no tar at all")
    assert "no .nemo file" in standing_of(str(path)).reason
    with pytest.raises(InputError, match="refused"):
        base_of(Choices(base=str(path)), "")


def test_a_usable_base_keeps_its_standing_and_tells_what_it_is(tmp_path):
    path = put_model(tmp_path / "conformer_of_ours.nemo", nemo_models.CTC)
    found = standing_of(str(path))
    assert found.standing is Standing.UNVERIFIED
    assert "CTC, 256 tokens, 16 kHz" in found.reason
    assert base_of(Choices(base=str(path)), "") == str(path)


@pytest.mark.parametrize(
    "name", [DEFAULT_BASE, "/no/such/parakeet.nemo", "nvidia/nemotron-speech-streaming-en-0.6b"]
)
def test_what_is_no_file_here_is_judged_by_its_name(name):
    assert standing_of(name) == base_standing(name)


def test_the_gate_is_blocked_by_a_streaming_base_of_any_name(demo_data, tmp_path):
    path = put_model(tmp_path / "our_parakeet.nemo", nemo_models.STREAMING)
    cycle = open_cycle(demo_data / "cycle1")
    gate = gate_of(cycle, build_leaderboard(scored_cycle(cycle).rows), 0, Settings(base=str(path)))
    assert not gate.passed
    [base] = [one for one in gate.criteria if one.id == "base_allowed"]
    assert not base.passed
    assert "cache-aware streaming" in gate.base.reason


@pytest.mark.parametrize(
    ("name", "config", "fatal"),
    [
        ("base.nemo", nemo_models.TDT, True),
        ("hybrid.nemo", nemo_models.HYBRID, True),
        ("tdt.nemo", nemo_models.CTC, None),
        ("tdt.nemo", nemo_models.RNNT, None),
    ],
)
def test_a_tdt_loss_on_a_cpu_is_told_by_the_file_whatever_its_name(tmp_path, name, config, fatal):
    found = cpu_objection(standing_of(str(put_model(tmp_path / name, config))))
    assert (found and found.fatal) is fatal


def test_by_a_name_alone_a_tdt_base_is_only_warned_of():
    found = cpu_objection(standing_of(DEFAULT_BASE))
    assert found is not None
    assert not found.fatal
    assert cpu_objection(standing_of("nvidia/stt_en_conformer_ctc_large")) is None
