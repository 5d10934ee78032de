"""Corrected copies of manifests: only what is corrected differs, and never in place."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.manifest import BOM
from clinasr_tui.flywheel.rewrite import PathChange, Rewritten, edited, rewrite_manifest


def write_wav(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(bytes(2 * round(seconds * 16000)))


def rewrite(manifest: Path, out: Path, *changes: str, **options: bool) -> Rewritten:
    return rewrite_manifest(manifest, out, changes=[PathChange.parse(text) for text in changes], **options)


@pytest.mark.parametrize(
    ("change", "path", "changed"),
    [
        ("/old=/new", "/old/a.wav", "/new/a.wav"),
        ("/old/=/new/", "/old/a.wav", "/new/a.wav"),
        ("/old=/new", "/old", "/new"),
        ("/old=/new", "/older/a.wav", None),
        ("/old=/new", "/x/old/a.wav", None),
        ("/old=/new", "old/a.wav", None),
        ("old=/new", "old/b/a.wav", "/new/b/a.wav"),
        ("/=/mnt", "/old/a.wav", "/mnt/old/a.wav"),
        ("/=/mnt", "old/a.wav", None),
        ("/old=/", "/old/a.wav", "/a.wav"),
        ("/old=", "/old/b/a.wav", "b/a.wav"),
        ("/old=", "/old", None),
        ("/old=new", "/old//a.wav", "new//a.wav"),
        ("C:\\old=/new", "C:\\old\\b\\a.wav", "/new/b/a.wav"),
        ("C:\\old=D:\\new", "C:\\old\\b\\a.wav", "D:\\new\\b\\a.wav"),
        ("C:\\old=/new", "C:\\older\\a.wav", None),
        ("/day==1=/day==2", "/day=1/a.wav", "/day=2/a.wav"),
        ("/ö=/ü", "/ö/a.wav", "/ü/a.wav"),
    ],
)
def test_paths_change_by_whole_folder_names(change: str, path: str, changed: str | None) -> None:
    assert PathChange.parse(change).apply(path) == changed


@pytest.mark.parametrize("text", ["", "/old", "=/new", "/a=/b=/c", "a==b"])
def test_what_is_no_path_change(text: str) -> None:
    with pytest.raises(InputError, match="FROM=TO"):
        PathChange.parse(text)


ODD_LINES = [
    BOM + b'{ "audio_filepath" :"\\/old\\/a.wav","duration":1.50 , "x": {"audio_filepath": "/old/x"}}\r\n',
    b'{"duration": 1e0, "text": "\\u00e9 /old/a.wav", "audio_filepath": "/old/\\u00e9.wav"}\n',
    '{"audio_filepath": "/old/é.wav", "text": "é"}\n'.encode(),
    b"\n",
    b'{"audio_filepath": "/older/a.wav",   "n": 1.000}\n',
    b'{"audio_filepath": "/old/1.wav", "audio_filepath": "/old/2.wav"}\n',
    b"not a row \xff\n",
    b'[{"audio_filepath": "/old/a.wav"}]\n',
    b'{"audio_filepath": null}\n',
    b'{"text": "/old/a.wav"}  \n',
    b'{"audio_filepath": "/old/\\ud800.wav"}',
]
CHANGED = [
    BOM + b'{ "audio_filepath" :"/new/a.wav","duration":1.50 , "x": {"audio_filepath": "/old/x"}}\r\n',
    b'{"duration": 1e0, "text": "\\u00e9 /old/a.wav", "audio_filepath": "/new/\\u00e9.wav"}\n',
    '{"audio_filepath": "/new/é.wav", "text": "é"}\n'.encode(),
    *ODD_LINES[3:5],
    b'{"audio_filepath": "/old/1.wav", "audio_filepath": "/new/2.wav"}\n',
    *ODD_LINES[6:10],
    b'{"audio_filepath": "/new/\\ud800.wav"}',
]


def test_every_other_byte_stays(tmp_path: Path) -> None:
    manifest, out = tmp_path / "m.jsonl", tmp_path / "out.jsonl"
    manifest.write_bytes(b"".join(ODD_LINES))
    done = rewrite(manifest, out, "/nothing=/here", "/old=/new", "/old=/newer")
    assert out.read_bytes().splitlines(keepends=True) == CHANGED
    assert manifest.read_bytes() == b"".join(ODD_LINES)
    assert (done.rows, done.broken, done.paths_changed, done.made_absolute) == (10, 2, 5, 0)
    assert list(done.used.values()) == [0, 5, 0]


def test_durations_come_from_the_audio(tmp_path: Path) -> None:
    write_wav(tmp_path / "new" / "a.wav", 1.25)
    said = ["1.25", "1.3", "1.20", "1.31", "null", '"1.25"', "-1", "NaN", "true", "[1]", "9" * 400]
    lines = [f'{{"audio_filepath": "/old/a.wav", "duration": {text}, "n": 1.0}}' for text in said]
    lines += ['{"audio_filepath":"/old/a.wav"}', '{"audio_filepath": "/old/a.wav"} ']
    lines += ['{"audio_filepath": "/old/absent.wav", "duration": null}', '{"duration": null}']
    manifest, out = tmp_path / "m.jsonl", tmp_path / "out.jsonl"
    manifest.write_text("\n".join(lines))
    done = rewrite(manifest, out, f"/old={tmp_path}/new", fill_durations=True)
    expected = [*said[:3], *["1.25"] * 8]
    new = str(tmp_path / "new")
    assert out.read_text().split("\n") == [
        *(f'{{"audio_filepath": "{new}/a.wav", "duration": {text}, "n": 1.0}}' for text in expected),
        f'{{"audio_filepath":"{new}/a.wav","duration":1.25}}',
        f'{{"audio_filepath": "{new}/a.wav", "duration": 1.25}} ',
        f'{{"audio_filepath": "{new}/absent.wav", "duration": null}}',
        '{"duration": null}',
    ]
    assert (done.durations_filled, done.audio_unread, done.paths_changed) == (10, 1, 14)


def test_durations_of_the_demo_are_found_again(demo_data: Path, tmp_path: Path) -> None:
    manifest = demo_data / "cycle1" / "manifest.jsonl"
    stripped = tmp_path / "stripped.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    stripped.write_text("".join(json.dumps({**row, "duration": None}) + "\n" for row in rows))
    done = rewrite(stripped, tmp_path / "out.jsonl", f"audio={demo_data}/cycle1/audio", fill_durations=True)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert done.durations_filled == 250
    assert [row["duration"] for row in found] == pytest.approx([row["duration"] for row in rows], abs=1e-4)
    again = rewrite(tmp_path / "out.jsonl", tmp_path / "again.jsonl", fill_durations=True)
    assert again.durations_filled == 0
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_relative_paths_keep_their_meaning_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    folder = tmp_path / "cycle1"
    (folder / "~here").mkdir(parents=True)
    paths = ["audio/a.wav", "./a.wav", "/abs/a.wav", "~/a.wav", "~here", "old/a.wav"]
    manifest = folder / "m.jsonl"
    manifest.write_text("".join(json.dumps({"audio_filepath": path}) + "\n" for path in paths))
    done = rewrite(manifest, tmp_path / "other" / "out.jsonl", "old=new")
    lines = (tmp_path / "other" / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["audio_filepath"] for line in lines] == [
        f"{folder}/audio/a.wav",
        f"{folder}/./a.wav",
        "/abs/a.wav",
        "~/a.wav",
        f"{folder}/~here",
        "new/a.wav",
    ]
    assert (done.made_absolute, done.paths_changed) == (3, 1)
    beside = rewrite(manifest, folder / "out.jsonl", "old=new")
    assert (beside.made_absolute, beside.paths_changed) == (0, 1)


def test_never_in_place_and_never_over_another_file(tmp_path: Path) -> None:
    manifest, out = tmp_path / "m.jsonl", tmp_path / "out.jsonl"
    manifest.write_text('{"audio_filepath": "/old/a.wav"}\n')
    (tmp_path / "link").symlink_to(manifest)
    (tmp_path / "hard").hardlink_to(manifest)
    for name in ("m.jsonl", "../" + tmp_path.name + "/m.jsonl", "link", "hard"):
        with pytest.raises(InputError, match="never changed in place"):
            rewrite(manifest, tmp_path / name, "/old=/new", replace=True)
    out.write_text("something else")
    with pytest.raises(InputError, match="another file is here already"):
        rewrite(manifest, out, "/old=/new")
    assert out.read_text() == "something else"
    rewrite(manifest, out, "/old=/new", replace=True)
    rewrite(manifest, out, "/old=/new")
    assert json.loads(out.read_text()) == {"audio_filepath": "/new/a.wav"}
    with pytest.raises(InputError, match="is a folder"):
        rewrite(manifest, tmp_path, "/old=/new")
    assert manifest.read_text() == '{"audio_filepath": "/old/a.wav"}\n'


def test_a_change_that_fits_nothing_or_a_cancelled_one_leaves_nothing(tmp_path: Path) -> None:
    manifest, out = tmp_path / "m.jsonl", tmp_path / "new" / "out.jsonl"
    manifest.write_text('{"audio_filepath": "/data/a.wav"}\n')
    with pytest.raises(InputError) as caught:
        rewrite(manifest, out, "/old=/new", "/dat=/x")
    assert str(caught.value) == f"{manifest}: no audio path is in /old, /dat. The first is /data/a.wav"
    with pytest.raises(InterruptedError, match="rewriting was cancelled"):
        rewrite_manifest(manifest, out, fill_durations=True, progress=lambda _: False)
    assert not list(out.parent.iterdir())
    with pytest.raises(InputError, match="no such manifest"):
        rewrite(tmp_path / "absent", out, "/old=/new")


keys = st.text(max_size=5) | st.sampled_from(["audio_filepath", "duration"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None)
@given(
    fields=st.dictionaries(keys, values, min_size=1, max_size=5),
    edits=st.dictionaries(
        st.sampled_from(["audio_filepath", "duration"]), st.floats(0, 9) | st.text(max_size=5)
    ),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, " ", "\t"]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
)
def test_an_edit_changes_these_values_and_keeps_the_order(
    fields: dict[str, object],
    edits: dict[str, object],
    ascii_only: bool,
    indent: str | None,
    separators: tuple[str, str],
) -> None:
    text = json.dumps(fields, ensure_ascii=ascii_only, indent=indent, separators=separators)
    raw = text.encode(errors="ignore")
    before = json.loads(raw)
    after = json.loads(edited(raw, edits))
    assert after == {**before, **edits}
    assert list(after) == list({**before, **edits})
    assert edited(raw, {}) == raw
