"""Models inspected without torch; hostile files refused in little time and memory."""

from __future__ import annotations

import io
import os
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import plain_yaml
from clinasr_tui.flywheel.deployment import deployment, described
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


def classes(model: str, head: str) -> str:
    """A config that names a model's class and its head's."""
    return f"target: nemo.collections.asr.models.{model}\ndecoder:\n  _target_: nemo.asr.modules.{head}\n"


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
        (lambda _: classes("ctc_models.EncDecCTCModel", "ConvASRDecoder"), Decoder.CTC),
        (lambda _: classes("x.OfOurs", "ConvASRDecoder"), Decoder.CTC),
        (lambda _: classes("rnnt_models.OfOurs", "RNNTDecoder"), Decoder.RNNT),
        (lambda _: classes("rnnt_models.EncDecRNNTModel", "StatelessTransducerDecoder"), Decoder.RNNT),
        (
            lambda _: classes("x.EncDecHybridRNNTCTCBPEModelWithPrompt", "RNNTDecoder"),
            Decoder.HYBRID,
        ),
        (lambda _: classes("hybrid_asr_tts_models.ASRWithTTSModel", ""), Decoder.UNKNOWN),
        (
            lambda _: classes(
                "classification_models.EncDecClassificationModel", "ConvASRDecoderClassification"
            ),
            Decoder.UNKNOWN,
        ),
        (
            lambda _: classes("x.EncDecFrameClassificationModel", "ConvASRDecoder"),
            Decoder.UNKNOWN,
        ),
        (
            lambda _: classes("ssl_models.SpeechEncDecSelfSupervisedModel", "ConvASRDecoderReconstruction"),
            Decoder.UNKNOWN,
        ),
        (lambda _: classes("ssl_models.SpeechEncDecSelfSupervisedModel", "ConvASRDecoder"), Decoder.UNKNOWN),
        (lambda _: classes("aed_multitask_models.EncDecMultiTaskModel", ""), Decoder.UNKNOWN),
        (lambda _: classes("label_models.EncDecSpeakerLabelModel", "SpeakerDecoder"), Decoder.UNKNOWN),
    ],
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


@pytest.mark.parametrize("said", ["validation_ds: null", "validation_ds: ~", "validation_ds:", ""])
def test_a_model_that_cannot_transcribe_is_told(tmp_path: Path, said: str) -> None:
    assert not read_nemo(model(tmp_path, f"target: x\n{said}\n")).can_transcribe
    assert read_nemo(model(tmp_path, "target: x\nvalidation_ds: {sample_rate: null}\n")).can_transcribe


ZEROS = 100
"""Megabytes that a bomb unfolds to; it has some hundred kilobytes."""


def header(kind: bytes, size: int, *, name: str = "./a") -> bytes:
    """A member's header, whatever it claims; a sparse one says that more blocks follow."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    if kind == tarfile.GNUTYPE_SPARSE:
        block[482] = 1
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def bomb(path: Path, kind: bytes) -> Path:
    """A gzipped tar whose first member unfolds to far more than the file has."""
    pack = zlib.compressobj(wbits=31)
    more = (bytes(504) + b"\1" + bytes(7)) if kind == tarfile.GNUTYPE_SPARSE else bytes(512)
    with path.open("wb") as stream:
        stream.write(pack.compress(header(kind, ZEROS << 20)))
        for _ in range(ZEROS):
            stream.write(pack.compress(more * 2048))
        stream.write(pack.flush())
    return path


def huge(path: Path, kind: bytes) -> Path:
    """A plain file of a few kilobytes on the disk, whose header claims what it seems to have."""
    with path.open("wb") as stream:
        stream.write(header(kind, ZEROS << 20))
        stream.truncate((ZEROS << 20) + 2048)
    return path


def chain(path: Path, kind: bytes) -> Path:
    """A header that says more of the next, two thousand times, before the config."""
    content = b"a\0" if kind == tarfile.GNUTYPE_LONGNAME else b"11 path=ab\n"
    block = header(kind, len(content)) + content.ljust(512, b"\0")
    rest = nemo(path, plain("./model_config.yaml", CONFIG.encode())).read_bytes()
    path.write_bytes(block * 2000 + rest)
    return path


def digits(path: Path) -> Path:
    """A pax header that begins with a length of a hundred thousand digits."""
    path.write_bytes(header(tarfile.XHDTYPE, 100_000) + b"1" * 100_352 + bytes(1024))
    return path


def configured(path: Path, config: str) -> Path:
    return nemo(path, plain("./model_config.yaml", config.encode()))


@contextmanager
def little_time() -> Iterator[None]:
    """What is done in it is done soon, whatever the file claims: the slowest took more than ten seconds."""
    begun = time.process_time()
    yield
    assert time.process_time() - begun < 8


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
        (lambda p: nemo(p, link("./model_weights.ckpt", "/dev/zero")), "is a link"),
        (lambda p: nemo(p, *[plain("./model_config.yaml", b"x: 1")] * 2), "twice"),
        (lambda p: chain(p, tarfile.XHDTYPE), "headers are longer"),
        (lambda p: chain(p, tarfile.XGLTYPE), "headers are longer"),
        (lambda p: chain(p, tarfile.GNUTYPE_LONGNAME), "headers are longer"),
        (digits, "is not in it"),
        (lambda p: configured(p, "%TAG !a! b\n" * 60_000 + "---\nx: 1\n"), "directives"),
        (lambda p: configured(p, "? [a, b]\n: c\n"), "no word"),
        (lambda p: configured(p, "x: 1\n---\ny: 2\n"), "more than one document"),
    ],
)
def test_what_means_harm_is_refused(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    path = make(tmp_path / "m.nemo")
    with little_time(), pytest.raises(InputError, match=said) as told:
        read_nemo(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (bomb, tarfile.REGTYPE, "unfolds to more than"),
        (bomb, tarfile.XHDTYPE, "headers are longer"),
        (bomb, tarfile.XGLTYPE, "headers are longer"),
        (bomb, tarfile.GNUTYPE_LONGNAME, "headers are longer"),
        (bomb, tarfile.GNUTYPE_SPARSE, "sparse"),
        (huge, tarfile.XHDTYPE, "headers are longer"),
        (huge, tarfile.GNUTYPE_LONGLINK, "headers are longer"),
    ],
)
def test_a_bomb_is_never_held_in_memory(
    tmp_path: Path, make: Callable[[Path, bytes], Path], kind: bytes, said: str
) -> None:
    path = make(tmp_path / "m.nemo", kind)
    tracemalloc.start()
    try:
        with little_time(), pytest.raises(InputError, match=said):
            read_nemo(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize(
    "config",
    [
        "x: " + ":".join("1" * 200_000),
        "x: " + ":".join("1" * 400) + ".0",
        "".join(f"{number * (2**61 - 1)}: 1\n" for number in range(40_000)),
        "vocab_size: " + "9" * 4_000_000,
        "x: 0x" + "f" * 1_000_000,
        "x: 2001-99-99\ny: !!int z\n",
    ],
    ids=[
        "base sixty",
        "base sixty, broken",
        "keys of one hash",
        "digits",
        "hexadecimal",
        "no date",
    ],
)
def test_words_are_not_computed(tmp_path: Path, config: str) -> None:
    path = configured(tmp_path / "m.nemo", f"target: a.EncDecCTCModel\n{config}\n")
    with little_time():
        assert read_nemo(path).decoder is Decoder.CTC


@pytest.mark.parametrize("figure", ["9" * 4000, "0x" + "f" * 5000, "1:1:1", "-16000", "0", "[1]", "yes"])
def test_a_figure_that_is_none_is_not_told(tmp_path: Path, figure: str) -> None:
    config = CONFIG.replace("sample_rate: 16000", f"sample_rate: {figure}")
    for key in ("joint", "labels"):
        config = config.replace(f"\n{key}:", f"\nother_{key}:")
    found = read_nemo(model(tmp_path, config.replace("vocab_size: 256", f"vocab_size: {figure}")))
    assert (found.sample_rate, found.vocabulary) == (None, None)
    assert "tokens" not in described(found)
    assert "Hz" not in described(found)


def test_a_long_version_stays_a_part_of_one_line(tmp_path: Path) -> None:
    config = CONFIG.replace("nemo_version: 2.6.2", "nemo_version: v" + "9" * 1_000_000)
    found = read_nemo(model(tmp_path, config.replace("target: nemo.", "target: " + "nemo." * 1000)))
    assert len(found.nemo_version) + len(found.target) <= 200
    assert len(described(found)) < 120
    assert found.decoder is Decoder.TDT


def test_too_little_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a machine whose memory is full: it is asked for and not there."""

    def full(text: str) -> None:
        raise MemoryError

    monkeypatch.setattr(plain_yaml, "load_plain", full)
    with pytest.raises(InputError, match="more memory than there is"):
        read_nemo(model(tmp_path, CONFIG))


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
        st.sampled_from(["target", "decoder", "loss", "decoding", "labels", "sample_rate", "nemo_version"]),
        st.recursive(
            st.none() | st.integers() | st.booleans() | st.floats() | st.text("aE1:é\x1b%\n~", max_size=3),
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
@settings(max_examples=100, deadline=None)
def test_any_types_are_survived(tmp_path_factory: pytest.TempPathFactory, config: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("n") / "m.nemo"
    nemo(path, plain("./model_config.yaml", yaml.safe_dump(config).encode()))
    found = read_nemo(path)
    assert deployment(found).refused or found.decoder is not Decoder.UNKNOWN
    assert "\n" not in described(found)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    os.mkfifo(path)
    with pytest.raises(InputError, match="named pipe"):
        read_nemo(path)
