"""Files that are not as they should be: the app says so in a line or counts it, and shows no wrong figure."""

from __future__ import annotations

import json

import pytest

from clinasr_tui.widgets.line_list import LineList
from tests.support.cycles import hyps, put_cycle, terms, write
from tests.support.driving import lines_of, press, settle, text_of

HYPS, MANIFEST = "per_sample.json", "manifest.jsonl"
ROWS = terms("drug", 21, 50) + terms("lab", 8, 80)
KER = f"{29 / 130:.3f}".removeprefix("0")


def as_array(raw: bytes) -> bytes:
    return json.dumps([json.loads(line) for line in raw.splitlines()]).encode()


def with_nul(raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join([*lines[:7], bytes(500) + b"\n", *lines[8:]])


def longer(raw: bytes) -> bytes:
    return raw.replace(b'"v1"', b'"v1", "notes": "' + b"y" * 10_000_000 + b'"', 1)


def term_twice(raw: bytes) -> bytes:
    return raw.replace(b'"v1"', b'"v1", "term": "other"', 1)


# What is done to which file, and what the app says of it ("" for nothing).
UNREADABLE = {
    "cut off": (lambda raw: raw[:-60], f"{HYPS}:130: not valid JSON"),
    "NUL bytes": (with_nul, f"{HYPS}:8: not valid JSON (NUL bytes from column 1"),
    "a key twice": (term_twice, f"{HYPS}:1: term stands twice in the row"),
    "a number": (
        lambda raw: raw.replace(b'"hyp": "', b'"hyp": 5, "x": "', 1),
        ":1: hyp is a number, not text",
    ),
    "nothing": (lambda raw: b"", "there are no transcripts"),
}
FINE = {
    "an array": (HYPS, as_array),
    "CRLF": (HYPS, lambda raw: raw.replace(b"\n", b"\r\n")),
    "a BOM": (HYPS, lambda raw: b"\xef\xbb\xbf" + raw),
    "10 MB in a line": (HYPS, longer),
    "10 MB in a manifest's line": (MANIFEST, longer),
}
COUNTED = {
    "other rows": (HYPS, lambda raw: raw.replace(b"audio/", b"elsewhere/x_"), "130 rows not in the manifest"),
    "the same audio": (
        HYPS,
        lambda raw: raw.replace(b"_1.wav", b"_0.wav"),
        "transcribed twice or more (same audio, same term), every row counts: 2",
    ),
    "the same audio in the manifest": (
        MANIFEST,
        lambda raw: raw.replace(b"_1.wav", b"_0.wav"),
        "2 rows not in the manifest",
    ),
    "other references": (
        HYPS,
        lambda raw: raw.replace(b'"ref": "please', b'"ref": "PLEASE', 4),
        "4 rows whose reference differs from the manifest's text",
    ),
    "a manifest cut off": (
        MANIFEST,
        lambda raw: raw[:-60],
        "manifest.jsonl:130: the rows are not compared with the manifest (not valid JSON",
    ),
    "a manifest that is an array": (MANIFEST, as_array, "(a JSON array begins here"),
    "a duration that is a text": (
        MANIFEST,
        lambda raw: raw.replace(b'"duration": 0.2', b'"duration": "0.2"', 3),
        "manifest.jsonl:1: the rows are not compared with the manifest (duration is a text",
    ),
}


@pytest.fixture
def opened(tmp_path, app_on):
    """The app on one cycle, one of whose files was changed."""

    def make(name, change):
        folder = put_cycle(tmp_path / "ward", 1, ROWS)
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        return app_on(tmp_path / "ward")

    return make


@pytest.mark.parametrize("case", UNREADABLE)
async def test_transcripts_that_cannot_be_read_are_a_line(opened, case):
    change, says = UNREADABLE[case]
    app = opened(HYPS, change)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        assert "✖ unreadable" in lines_of(app.screen.query_one("#cycles", LineList))[0]
        for key in ("3", "6"):
            await press(pilot, key)
            assert says in app.screen.query_one("#problem").text
        assert text_of(app.screen, "#headline") == ""
        assert lines_of(app.screen.query_one("#groups", LineList)) == []


@pytest.mark.parametrize("case", FINE)
async def test_what_can_be_read_gives_the_same_figures(opened, case):
    name, change = FINE[case]
    app = opened(name, change)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert f"KER ★ {KER} n 130" in text_of(app.screen, "#headline")
        assert app.screen.query_one("#problem").text == ""
        assert app.screen.query_one("#warnings").text == ""


@pytest.mark.parametrize("case", COUNTED)
async def test_what_does_not_fit_is_counted(opened, case):
    name, change, says = COUNTED[case]
    app = opened(name, change)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        assert "cycle 1: " in app.screen.query_one("#warnings").text
        await press(pilot, "6")
        said = [*await app.session.warnings(app.session.workspace.cycle(1))]
        assert any(says in line for line in said)
        assert app.screen.query_one("#warnings").text.startswith(said[0])
        assert f"KER ★ {KER} n 130" in text_of(app.screen, "#headline")
        await press(pilot, "3")
        assert said[0] in app.screen.query_one("#warnings").text


async def test_a_broken_manifest_is_an_error_where_it_has_to_fill(tmp_path, app_on):
    folder = put_cycle(tmp_path / "ward", 1, ROWS)
    bare = [{key: row[key] for key in ("audio_filepath", "ref", "hyp")} for row in hyps(ROWS)]
    write(folder / HYPS, bare)
    app = app_on(tmp_path / "ward")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert f"KER ★ {KER} n 130" in text_of(app.screen, "#headline")
        manifest = folder / MANIFEST
        manifest.write_bytes(manifest.read_bytes()[:-60])
        await app.session.rescan()
        await settle(pilot)
        assert "manifest.jsonl:130: not valid JSON" in app.screen.query_one("#problem").text
        assert text_of(app.screen, "#headline") == ""
