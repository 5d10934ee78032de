"""Models inspected without torch; hostile files refused in little time and memory."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import nemo_file
from clinasr_tui.flywheel.nemo_file import Decoder, read_nemo

CONFIG = (Path(__file__).parents[1] / "data/nemo/model_config.yaml").read_text()
"""The config of a FastConformer-TDT that NeMo 2.6.2 saved."""


def plain(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def nemo(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return path


def model(tmp_path: Path, config: str, mode: str = "w") -> Path:
    return nemo(
        tmp_path / "m.nemo",
        plain("./tokenizer.model", b"t" * 100),
        plain("./model_config.yaml", config.encode()),
        plain("./model_weights.ckpt", b"w" * 5000),
        mode=mode,
    )


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_real_config_is_read(tmp_path: Path, mode: str) -> None:
    found = read_nemo(model(tmp_path, CONFIG, mode))
    assert (found.decoder, found.vocabulary, found.sample_rate) == (Decoder.TDT, 256, 16000)
    assert (found.weights, found.nemo_version, found.streaming) == (5000, "2.6.2", False)
    assert found.target.endswith("EncDecRNNTBPEModel")
    assert found.can_transcribe


def test_a_real_model_is_read_in_a_moment(tmp_path: Path) -> None:
    """Its weights are skipped, not read."""
    weights = tarfile.TarInfo("./model_weights.ckpt")
    path = nemo(tmp_path / "m.nemo", plain("./model_config.yaml", CONFIG.encode()))
    weights.size = 2_400_000_000
    header_and_content = 512 + -(-len(CONFIG.encode()) // 512) * 512
    path.write_bytes(path.read_bytes()[:header_and_content] + weights.tobuf())
    assert read_nemo(path).weights == 2_400_000_000


@pytest.mark.parametrize(
    ("change", "decoder"),
    [
        (lambda text: text.replace("EncDecRNNTBPEModel", "EncDecHybridRNNTCTCBPEModel"), Decoder.HYBRID),
        (
            lambda text: (
                text.replace("rnnt_bpe_models.EncDecRNNTBPEModel", "ctc_bpe_models.EncDecCTCModelBPE")
                .replace("modules.RNNTDecoder", "modules.ConvASRDecoder")
                .replace("tdt", "x")
            ),
            Decoder.CTC,
        ),
        (
            lambda text: (
                text.replace("loss_name: tdt", "loss_name: default")
                .replace("model_type: tdt", "model_type: rnnt")
                .replace("durations:", "lengths:")
            ),
            Decoder.RNNT,
        ),
        (
            lambda text: text.replace("loss_name: tdt", "loss_name: default").replace(
                "model_type: tdt", "model_type: rnnt"
            ),
            Decoder.TDT,
        ),
        (lambda _: "target: something.Else\n", Decoder.UNKNOWN),
    ],
    ids=["hybrid", "ctc", "rnnt", "tdt by its durations", "unknown"],
)
def test_the_decoder_is_told(tmp_path: Path, change: Callable[[str], str], decoder: Decoder) -> None:
    assert read_nemo(model(tmp_path, change(CONFIG))).decoder is decoder


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("att_context_style: regular", "att_context_style: chunked_limited"),
        ("causal_downsampling: false", "causal_downsampling: true"),
        ("conv_context_size: null", "conv_context_size: causal"),
    ],
)
def test_a_streaming_encoder_is_recognised_by_its_config(tmp_path: Path, before: str, after: str) -> None:
    assert before in CONFIG
    assert read_nemo(model(tmp_path, CONFIG.replace(before, after))).streaming


def test_a_model_that_cannot_transcribe_is_told(tmp_path: Path) -> None:
    config = "target: x\nvalidation_ds: null\n"
    assert not read_nemo(model(tmp_path, config)).can_transcribe


def bomb(path: Path) -> Path:
    """A gzipped tar that unfolds to far more than it is."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        member = tarfile.TarInfo("./a")
        member.size = 300 << 20
        stream.write(member.tobuf())
        for _ in range(300):
            stream.write(bytes(1 << 20))
    return path


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


LAUGHS = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: nemo(p, link("./model_config.yaml", "/etc/passwd")), "is a link"),
        (lambda p: nemo(p, plain("./model_config.yaml", LAUGHS.encode())), "aliases"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"[" * 100_000)), "nested too deeply"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"x: !!python/object/apply:os.system [id]")), "YAML"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"x: 1\ny: [")), "YAML"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"\xff\xfe")), "YAML"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"- 1")), "no model's config"),
        (lambda p: nemo(p, plain("./model_config.yaml", b"a: [" + b"1," * 500_000 + b"]")), "values"),
        (lambda p: nemo(p, plain("./model_config.yaml", bytes((4 << 20) + 1))), "bytes"),
        (lambda p: nemo(p, plain("./other", b"x")), "is not in it"),
        (lambda p: nemo(p, *(plain(f"./{n}", b"") for n in range(10_002))), "10,000 files"),
        (bomb, "unfolds to more than"),
    ],
)
def test_what_means_harm_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nemo_file, "_MOST_INFLATED", 100 << 20)
    path = make(tmp_path / "m.nemo")
    begun = time.process_time()
    with pytest.raises(InputError, match=said) as told:
        read_nemo(path)
    assert time.process_time() - begun < 10
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_bomb_is_never_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemo_file, "_MOST_INFLATED", 100 << 20)
    path = bomb(tmp_path / "m.nemo")
    tracemalloc.start()
    with pytest.raises(InputError, match="unfolds"):
        read_nemo(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x1f\x8b", b"\x1f\x8bgarbage", b"PK\3\4", bytes(1024), b"a" * 600]
)
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.nemo"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no \.nemo file"):
        read_nemo(path)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        read_nemo(tmp_path / "none.nemo")
    with pytest.raises(InputError, match="is a folder"):
        read_nemo(tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_cut_file_is_one_line(tmp_path: Path, mode: str) -> None:
    whole = model(tmp_path, CONFIG, mode).read_bytes()
    path = tmp_path / "cut.nemo"
    for end in range(0, 6000, 257):
        path.write_bytes(whole[:end])
        try:
            read_nemo(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017


@given(
    st.dictionaries(
        st.sampled_from(["target", "decoder", "loss", "decoding", "encoder", "labels", "joint"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
            lambda x: (
                st.lists(x, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["_target_", "loss_name", "durations", "vocab_size", "vocabulary"]),
                    x,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ),
    )
)
@settings(max_examples=100)
def test_any_types_are_survived(tmp_path_factory: pytest.TempPathFactory, config: dict[str, object]) -> None:
    import yaml

    path = tmp_path_factory.mktemp("n") / "m.nemo"
    nemo(path, plain("./model_config.yaml", yaml.safe_dump(config).encode()))
    assert read_nemo(path).decoder in Decoder


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    os.mkfifo(path)
    with pytest.raises(InputError, match="named pipe"):
        read_nemo(path)
